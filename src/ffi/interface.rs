//! The one table of what the library exports. The C header and the Lua declarations are written from it, and the number by which the Lua
//! files know that the library is theirs is made of it.

use super::message::{AWAIT_BODY, CALL, COMMON, Code, REPLY, SEND};
use std::fmt::Write as _;

/// How a type is called in C.
pub(super) trait CType {
    const NAME: &'static str;
}

macro_rules! c_types {
    ($($rust:ty => $c:literal),* $(,)?) => { $(impl CType for $rust { const NAME: &'static str = $c; })* };
}

c_types! {
    () => "void",
    i32 => "int32_t",
    u32 => "uint32_t",
    u64 => "uint64_t",
    usize => "size_t",
    *const u8 => "const char *",
    *mut u8 => "char *",
    DkBytes => "dk_bytes",
    *const DkBytes => "const dk_bytes *",
    DkText => "dk_text",
    *const DkHeader => "const dk_header *",
    *const DkHead => "const dk_head *",
    *const DkCalloutAnswer => "const dk_callout_answer *",
    *mut DkAnswer => "dk_answer *",
}

/// A part of the interface: a structure with its fields, or a function with its result and its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declaration {
    pub(super) docs: &'static [&'static str],
    /// What a function gives back; nothing for a structure.
    pub(super) result: Option<&'static str>,
    pub(super) name: &'static str,
    /// Types and names.
    pub(super) parts: &'static [(&'static str, &'static str)],
}

macro_rules! structures {
    ($($(#[doc = $doc:literal])* $name:ident is $c:literal { $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug)]
            #[repr(C)]
            pub struct $name { $($(#[doc = $field_doc])* pub $field: $type,)* }
        )*

        const STRUCTURES: &[Declaration] = &[$(Declaration {
            docs: &[$($doc),*],
            result: None,
            name: $c,
            parts: &[$((<$type as CType>::NAME, stringify!($field)),)*],
        }),*];
    };
}

structures! {
    /// Bytes of the caller's, for the time of one call. `data` may be null where `size` is zero.
    DkBytes is "dk_bytes" {
        /// Where they are.
        data: *const u8,
        /// How many.
        size: usize,
    }

    /// As `dk_bytes`, in the form of nginx's Lua module (`ngx_http_lua_ffi_str_t`).
    DkText is "dk_text" {
        /// How many.
        size: i32,
        /// Where they are.
        data: *const u8,
    }

    /// A header as nginx's Lua module hands it over (`ngx_http_lua_ffi_table_elt_t`), so that Lua need not copy it. headers.lua holds the two
    /// declarations against each other.
    DkHeader is "dk_header" {
        /// Its name, in any case.
        name: DkText,
        /// Its value.
        value: DkText,
    }

    /// The head of a request.
    DkHead is "dk_head" {
        /// The host's own name of the request.
        id: DkBytes,
        /// The method.
        method: DkBytes,
        /// What will be sent on, byte for byte: path and query.
        target: DkBytes,
        /// `https` or `http`, as the client came in.
        scheme: DkBytes,
        /// All headers.
        headers: *const DkHeader,
        /// How many there are.
        headers_count: usize,
        /// By turns names and values of `kong.ctx.shared` that the configuration's secrets need (`dk_config_open` tells their names).
        shared: *const DkBytes,
        /// How many elements `shared` has.
        shared_count: usize,
        /// The certificate that the client has shown in TLS, PEM; nothing if it has shown none.
        certificate: DkBytes,
        /// Whether a body follows that no header announces (HTTP/2).
        has_body: u32,
        /// Whether there are more headers than `headers` has.
        has_more_headers: u32,
    }

    /// What became of a callout.
    DkCalloutAnswer is "dk_callout_answer" {
        /// 0: answered; 1: failed, and `body` says in a few words why; 2: no answer in time; 3: cut off; 4: longer than allowed; 5: another
        /// worker had it answered, and `body` is what `dk_seal` gave that one.
        outcome: u32,
        /// Whether another request sent it, and this one waited for its answer.
        shared: u32,
        /// The HTTP status.
        status: u32,
        /// The headers that the callout wants, names in lower case.
        headers: *const DkBytes,
        /// How many elements `headers` has.
        headers_count: usize,
        /// The whole body.
        body: DkBytes,
    }

    /// The caller's memory for one answer: a list of byte strings. First their number, then for each where it ends (counted from the end
    /// of this head), all with 32 bits in the machine's order; then their bytes.
    DkAnswer is "dk_answer" {
        /// Where to write.
        data: *mut u8,
        /// How many bytes there are.
        room: usize,
        /// How many bytes the answer has. Beyond `room` nothing was written, and `dk_again` gives it.
        size: usize,
    }
}

const fn hash_text(mut hash: u64, text: &str) -> u64 {
    // FNV-1a; each text ends in a byte that is in none
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
        rest = after;
    }
    (hash ^ 0xff).wrapping_mul(0x0000_0100_0000_01b3)
}

const fn hash_texts(mut hash: u64, mut texts: &[&str]) -> u64 {
    while let [text, after @ ..] = texts {
        hash = hash_text(hash, text);
        texts = after;
    }
    hash
}

const fn hash_declarations(mut hash: u64, mut declarations: &[Declaration]) -> u64 {
    while let [declaration, after @ ..] = declarations {
        hash = hash_text(hash, declaration.name);
        if let Some(result) = declaration.result {
            hash = hash_text(hash, result);
        }
        let mut parts = declaration.parts;
        while let [(kind, name), later @ ..] = parts {
            hash = hash_text(hash_text(hash, kind), name);
            parts = later;
        }
        declarations = after;
    }
    hash
}

const fn hash_codes(mut hash: u64, mut codes: &[(&str, Code)]) -> u64 {
    while let [(name, code), after @ ..] = codes {
        hash = hash_text(hash, name);
        hash = (hash ^ (*code as i32 as u32 as u64)).wrapping_mul(0x0000_0100_0000_01b3);
        codes = after;
    }
    hash
}

/// The number of this interface: another for each other set of functions, structures, codes or fields, and for each version.
pub(super) const fn number() -> u64 {
    let hash = hash_text(0xcbf2_9ce4_8422_2325, VERSION);
    let hash = hash_declarations(hash_declarations(hash, STRUCTURES), super::exports::FUNCTIONS);
    let hash = hash_texts(hash_codes(hash, &Code::NAMES), &COMMON);
    let hash = hash_texts(hash_texts(hash, &CALL), &AWAIT_BODY);
    // below 2^52, so that a Lua number holds it
    hash_texts(hash_texts(hash, &REPLY), &SEND) >> 12
}

/// The version of the package.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The C header of the library, for readers and for other callers than ours.
#[must_use]
pub fn header() -> String {
    let mut text = format!(
        "/* Written by `make schema` from src/ffi/interface.rs and src/ffi/exports.rs: the interface of libdatabricks_kong {VERSION}. */\n\
         #ifndef DATABRICKS_KONG_H\n#define DATABRICKS_KONG_H\n\n#include <stddef.h>\n#include <stdint.h>\n"
    );
    for declaration in STRUCTURES.iter().chain(super::exports::FUNCTIONS) {
        text.push_str("\n/*");
        for line in declaration.docs {
            let _ = write!(text, "{line}\n *");
        }
        text.push_str("/\n");
        declare(&mut text, declaration);
    }
    text.push_str("\n#endif\n");
    text
}

/// The Lua file that declares the interface to LuaJIT.
#[must_use]
pub fn lua() -> String {
    let mut text = format!(
        "-- Written by `make schema` from src/ffi/interface.rs: what libdatabricks_kong exports, and what it answers.\n\
         local interface = {{ version = \"{VERSION}\", number = {} }}\n\ninterface.cdef = [[\n",
        number()
    );
    for declaration in STRUCTURES.iter().chain(super::exports::FUNCTIONS) {
        declare(&mut text, declaration);
    }
    text.push_str("]]\n\n-- What a call gives back.\ninterface.code = {\n");
    for (name, code) in Code::NAMES {
        let _ = writeln!(text, "  {name} = {},", code as i32);
    }
    text.push_str("}\n\n-- Places of the fields of an answer, counted from one.\ninterface.field = {\n");
    for (at, name) in COMMON.iter().enumerate() {
        let _ = writeln!(text, "  {name} = {},", at.saturating_add(1));
    }
    text.push_str("}\n");
    for (kind, fields) in [("call", &CALL[..]), ("await_body", &AWAIT_BODY), ("reply", &REPLY), ("send", &SEND)] {
        let _ = writeln!(text, "\ninterface.{kind} = {{");
        for (at, name) in fields.iter().enumerate() {
            let _ = writeln!(text, "  {name} = {},", at.saturating_add(COMMON.len()).saturating_add(1));
        }
        let _ = writeln!(text, "  headers = {},", fields.len().saturating_add(COMMON.len()).saturating_add(1));
        text.push_str("}\n");
    }
    text.push_str("\nreturn interface\n");
    text
}

fn declare(text: &mut String, declaration: &Declaration) {
    let one = |(kind, name): &(&str, &str)| {
        if kind.ends_with('*') { format!("{kind}{name}") } else { format!("{kind} {name}") }
    };
    match declaration.result {
        None => {
            text.push_str("typedef struct {\n");
            for part in declaration.parts {
                let _ = writeln!(text, "  {};", one(part));
            }
            let _ = writeln!(text, "}} {};", declaration.name);
        }
        Some(result) => {
            let parts: Vec<_> = declaration.parts.iter().map(one).collect();
            let parts = if parts.is_empty() { "void".to_owned() } else { parts.join(", ") };
            let _ = writeln!(text, "{result} {}({parts});", declaration.name);
        }
    }
}
