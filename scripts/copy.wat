 ;; Copies `$n` bytes, which may overlap, as `memory.copy` does.
 ;;
 ;; Wasmtime and V8 leave the sandbox for each `memory.copy`, which takes some twenty times as long as a short copy itself; a known caller's
 ;; request makes some 300, nearly all of at most 128 bytes and a third of a single one. So those are made here: the first half and the last,
 ;; of a length that is a power of two, so that they overlap where they must. All is read before anything is written, and what lies last is
 ;; written first: what does not fit into the memory is not written in part.
 (func $copy (param $to i32) (param $from i32) (param $n i32)
  (local $end i32) (local $to_end i32)
  (local $a i32) (local $b i32) (local $c i32)
  (local $first8 i64) (local $last8 i64)
  (local $v0 v128) (local $v1 v128) (local $v2 v128) (local $v3 v128)
  (local $v4 v128) (local $v5 v128) (local $v6 v128) (local $v7 v128)
  (if (i32.gt_u (local.get $n) (i32.const 128)) (then
   (memory.copy (local.get $to) (local.get $from) (local.get $n))
   (return)))
  (local.set $end (i32.add (local.get $from) (local.get $n)))
  (local.set $to_end (i32.add (local.get $to) (local.get $n)))
  (if (i32.le_u (local.get $n) (i32.const 16)) (then
   (if (i32.ge_u (local.get $n) (i32.const 8)) (then
    (local.set $first8 (i64.load align=1 (local.get $from)))
    (local.set $last8 (i64.load align=1 (i32.sub (local.get $end) (i32.const 8))))
    (i64.store align=1 (i32.sub (local.get $to_end) (i32.const 8)) (local.get $last8))
    (i64.store align=1 (local.get $to) (local.get $first8))
    (return)))
   (if (i32.ge_u (local.get $n) (i32.const 4)) (then
    (local.set $a (i32.load align=1 (local.get $from)))
    (local.set $b (i32.load align=1 (i32.sub (local.get $end) (i32.const 4))))
    (i32.store align=1 (i32.sub (local.get $to_end) (i32.const 4)) (local.get $b))
    (i32.store align=1 (local.get $to) (local.get $a))
    (return)))
   (if (i32.eqz (local.get $n)) (then (return)))
   ;; one to three: the first, the one in the middle, the last
   (local.set $a (i32.load8_u (local.get $from)))
   (local.set $b (i32.load8_u (i32.add (local.get $from) (i32.shr_u (local.get $n) (i32.const 1)))))
   (local.set $c (i32.load8_u (i32.sub (local.get $end) (i32.const 1))))
   (i32.store8 (i32.sub (local.get $to_end) (i32.const 1)) (local.get $c))
   (i32.store8 (i32.add (local.get $to) (i32.shr_u (local.get $n) (i32.const 1))) (local.get $b))
   (i32.store8 (local.get $to) (local.get $a))
   (return)))
  (local.set $v0 (v128.load align=1 (local.get $from)))
  (local.set $v7 (v128.load align=1 (i32.sub (local.get $end) (i32.const 16))))
  (if (i32.le_u (local.get $n) (i32.const 32)) (then
   (v128.store align=1 (i32.sub (local.get $to_end) (i32.const 16)) (local.get $v7))
   (v128.store align=1 (local.get $to) (local.get $v0))
   (return)))
  (local.set $v1 (v128.load offset=16 align=1 (local.get $from)))
  (local.set $v6 (v128.load align=1 (i32.sub (local.get $end) (i32.const 32))))
  (if (i32.gt_u (local.get $n) (i32.const 64)) (then
   (local.set $v2 (v128.load offset=32 align=1 (local.get $from)))
   (local.set $v3 (v128.load offset=48 align=1 (local.get $from)))
   (local.set $v4 (v128.load align=1 (i32.sub (local.get $end) (i32.const 64))))
   (local.set $v5 (v128.load align=1 (i32.sub (local.get $end) (i32.const 48))))))
  (v128.store align=1 (i32.sub (local.get $to_end) (i32.const 16)) (local.get $v7))
  (v128.store align=1 (i32.sub (local.get $to_end) (i32.const 32)) (local.get $v6))
  (if (i32.gt_u (local.get $n) (i32.const 64)) (then
   (v128.store align=1 (i32.sub (local.get $to_end) (i32.const 48)) (local.get $v5))
   (v128.store align=1 (i32.sub (local.get $to_end) (i32.const 64)) (local.get $v4))
   (v128.store offset=48 align=1 (local.get $to) (local.get $v3))
   (v128.store offset=32 align=1 (local.get $to) (local.get $v2))))
  (v128.store offset=16 align=1 (local.get $to) (local.get $v1))
  (v128.store align=1 (local.get $to) (local.get $v0)))
