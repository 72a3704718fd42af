//! Where pointers of the other side become slices, and bytes go back: the only `unsafe` of the library.

#![allow(
    unsafe_code,
    reason = "a C interface has raw pointers; each block says why it is sound, and nothing leaves this file raw"
)]

use super::faults;
use super::interface::{DkAnswer, DkBytes, DkCalloutAnswer, DkHead, DkHeader, DkText};
use super::message::{Code, Message};
use super::slab::Handle;
use super::worker;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// The last answer that did not fit into the caller's memory.
    static KEPT: RefCell<Option<(Code, Message)>> = const { RefCell::new(None) };
}

/// What the caller handed over cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Names and values.
type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Runs one call: a panic in it ends here.
pub(super) fn guarded<T>(otherwise: T, action: impl FnOnce() -> T) -> T {
    // unwind safety: `worker::recover` throws away what a panic may have left half written
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|_| {
        // what recovers could fail as well, and nothing may unwind into C
        let _ = catch_unwind(worker::recover);
        otherwise
    })
}

/// The same for a call that is for a request, which is forgotten after a panic wherever that was: also in the delivery of an answer, when
/// the request is in its place again.
pub(super) fn guarded_for(request: u64, action: impl FnOnce(Handle) -> i32) -> i32 {
    let request = Handle::from_raw(request);
    let mut has_returned = false;
    let code = guarded(Code::Failed as i32, || {
        let code = action(request);
        has_returned = true;
        code
    });
    if !has_returned {
        guarded((), || worker::close_request(request));
    }
    code
}

/// The bytes at `data`.
///
/// # Safety
/// If `data` is not null, `size` bytes at it can be read and do not change while the slice lives; the interface asks this of its caller
/// for the time of one call.
pub(super) unsafe fn bytes<'a>(data: *const u8, size: usize) -> Result<&'a [u8], Unreadable> {
    match (data.is_null(), isize::try_from(size)) {
        (_, Ok(0)) => Ok(&[]),
        (false, Ok(_)) => {
            // SAFETY: not null, within what a slice may span, and readable by this function's own condition; bytes need no alignment
            Ok(unsafe { std::slice::from_raw_parts(data, size) })
        }
        _ => Err(Unreadable),
    }
}

/// Pairs of a name and a value, one after the other at `list`.
///
/// # Safety
/// As [`bytes`], for `count` aligned elements at `list` and for what each of them points to.
unsafe fn pairs<'a>(list: *const DkBytes, count: usize) -> Result<Pairs<'a>, Unreadable> {
    // SAFETY: by this function's own condition
    let (pairs, []) = unsafe { elements(list, count) }?.as_chunks::<2>() else { return Err(Unreadable) };
    // SAFETY: each element's bytes are readable by this function's own condition
    pairs.iter().map(|[name, value]| unsafe { Ok((read(name)?, read(value)?)) }).collect()
}

/// The elements of a list.
///
/// # Safety
/// As [`bytes`], for `count` elements at `list`.
unsafe fn elements<'a, T>(list: *const T, count: usize) -> Result<&'a [T], Unreadable> {
    if count == 0 {
        return Ok(&[]);
    }
    let spans = count.checked_mul(size_of::<T>()).is_some_and(|size| isize::try_from(size).is_ok());
    if list.is_null() || !list.is_aligned() || !spans {
        return Err(Unreadable);
    }
    // SAFETY: not null, aligned, within what a slice may span, and readable by this function's own condition
    Ok(unsafe { std::slice::from_raw_parts(list, count) })
}

/// # Safety
/// As [`bytes`], for aligned elements at `list` and for what each of them points to.
unsafe fn headers<'a>(list: *const DkHeader, count: usize) -> Result<Pairs<'a>, Unreadable> {
    // SAFETY: by this function's own condition
    let list = unsafe { elements(list, count) }?;
    // SAFETY: each element's bytes are readable by this function's own condition
    list.iter().map(|header| unsafe { Ok((read_text(&header.name)?, read_text(&header.value)?)) }).collect()
}

/// # Safety
/// As [`bytes`], for what `text` points to.
unsafe fn read_text<'a>(text: &DkText) -> Result<&'a [u8], Unreadable> {
    let size = usize::try_from(text.size).map_err(|_| Unreadable)?;
    // SAFETY: by this function's own condition
    unsafe { bytes(text.data, size) }
}

/// # Safety
/// As [`bytes`], for what `span` points to.
unsafe fn read<'a>(span: &DkBytes) -> Result<&'a [u8], Unreadable> {
    // SAFETY: by this function's own condition
    unsafe { bytes(span.data, span.size) }
}

/// A request's head, as Lua gathered it.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) id: &'a [u8],
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) scheme: &'a [u8],
    pub(super) certificate: &'a [u8],
    pub(super) has_body: bool,
    pub(super) has_more_headers: bool,
    pub(super) headers: Pairs<'a>,
    pub(super) shared: Pairs<'a>,
}

impl Head<'_> {
    /// # Safety
    /// As [`bytes`], for an aligned structure at `head` and for all that it points to.
    pub(super) unsafe fn read(head: *const DkHead) -> Result<Self, Unreadable> {
        if !head.is_aligned() {
            return Err(Unreadable);
        }
        // SAFETY: aligned, and null or readable by this function's own condition
        let head = unsafe { head.as_ref() }.ok_or(Unreadable)?;
        // SAFETY: what the structure points to is readable by this function's own condition
        unsafe {
            Ok(Self {
                id: read(&head.id)?,
                method: read(&head.method)?,
                target: read(&head.target)?,
                scheme: read(&head.scheme)?,
                certificate: read(&head.certificate)?,
                has_body: head.has_body != 0,
                has_more_headers: head.has_more_headers != 0,
                headers: headers(head.headers, head.headers_count)?,
                shared: pairs(head.shared, head.shared_count)?,
            })
        }
    }
}

/// The answer to a callout, as Lua got it.
#[derive(Debug)]
pub(super) struct CalloutAnswer<'a> {
    pub(super) outcome: u32,
    pub(super) shared: bool,
    pub(super) status: u32,
    pub(super) headers: Pairs<'a>,
    pub(super) body: &'a [u8],
}

impl CalloutAnswer<'_> {
    /// # Safety
    /// As [`bytes`], for an aligned structure at `answer` and for all that it points to.
    pub(super) unsafe fn read(answer: *const DkCalloutAnswer) -> Result<Self, Unreadable> {
        if !answer.is_aligned() {
            return Err(Unreadable);
        }
        // SAFETY: aligned, and null or readable by this function's own condition
        let answer = unsafe { answer.as_ref() }.ok_or(Unreadable)?;
        // SAFETY: what the structure points to is readable by this function's own condition
        unsafe {
            Ok(Self {
                outcome: answer.outcome,
                shared: answer.shared != 0,
                status: answer.status,
                headers: pairs(answer.headers, answer.headers_count)?,
                body: read(&answer.body)?,
            })
        }
    }
}

/// Copies a message to where the caller wants it; if it does not fit, says how long it is and keeps it for [`again`].
///
/// # Safety
/// `answer` is null, or points to an aligned structure that nobody else uses during the call, and whose `data` is null or has `room` bytes
/// that can be written.
pub(super) unsafe fn deliver(answer: *mut DkAnswer, (code, message): (Code, Message)) -> i32 {
    faults::panic_if_due();
    let kept = KEPT.try_with(|kept| kept.try_borrow_mut().map(|mut kept| *kept = None));
    if !matches!(kept, Ok(Ok(()))) {
        return Code::Failed as i32;
    }
    // SAFETY: by this function's own condition
    match unsafe { write(answer, &message) } {
        Some(true) => code as i32,
        Some(false) => {
            let kept = KEPT.try_with(|kept| kept.try_borrow_mut().map(|mut kept| *kept = Some((code, message))));
            if matches!(kept, Ok(Ok(()))) { Code::Grow as i32 } else { Code::Failed as i32 }
        }
        None => Code::Failed as i32,
    }
}

/// Gives the answer that did not fit before.
///
/// # Safety
/// As [`deliver`].
pub(super) unsafe fn again(answer: *mut DkAnswer) -> i32 {
    let kept = KEPT.try_with(|kept| kept.try_borrow_mut().ok().and_then(|mut kept| kept.take())).ok().flatten();
    let Some((code, message)) = kept else { return Code::Failed as i32 };
    // SAFETY: by this function's own condition
    match unsafe { write(answer, &message) } {
        Some(true) => code as i32,
        _ => Code::Failed as i32,
    }
}

/// Whether the message fitted; nothing if there is no place at all, or the message cannot be said.
///
/// # Safety
/// As [`deliver`].
unsafe fn write(answer: *mut DkAnswer, message: &Message) -> Option<bool> {
    let (count, ends, bytes) = message.parts()?;
    if !answer.is_aligned() {
        return None;
    }
    // SAFETY: aligned, and null or nobody else's during the call, by this function's own condition
    let answer = unsafe { answer.as_mut() }?;
    let head = size_of_val(ends).checked_add(size_of::<u32>())?;
    answer.size = head.checked_add(bytes.len())?;
    if answer.data.is_null() || answer.room < answer.size {
        return Some(false);
    }
    // SAFETY: `data` is not null and has `room` writable bytes, which are at least as many as the three parts have together; the sources are
    // ours, so they do not overlap, and numbers are copied as the bytes that they are
    unsafe {
        let data = answer.data;
        std::ptr::copy_nonoverlapping((&raw const count).cast(), data, size_of::<u32>());
        std::ptr::copy_nonoverlapping(ends.as_ptr().cast(), data.add(size_of::<u32>()), size_of_val(ends));
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), data.add(head), bytes.len());
    }
    Some(true)
}
