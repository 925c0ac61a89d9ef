//! The memory that reading an object may take.
//!
//! Kubernetes bounds the bytes of an object and not the items of its lists, and an item that takes three bytes to send
//! takes many times that once it is read. So the memory is bounded, in proportion to the bytes that came.

use std::cell::Cell;
use std::marker::PhantomData;

/// Bytes of memory for each byte of an object. An API server sends nothing that takes more: the name of a capability is
/// read into 24 bytes, and takes three bytes where it is empty; an entry of a map is read into 48 bytes, and many different
/// keys take ten bytes each (`"abc":"",`); a container with its security context is read into some 300 bytes, and takes
/// more than 100 bytes once the API server has completed it.
const RATIO: usize = 8;
/// Bytes of memory that any object may take, however short it is.
const LEAST: usize = 256 << 10;
/// Bytes that an allocation takes beside its content.
const ALLOCATION: usize = 16;

thread_local! {
    /// Bytes that are left to what is being read. Deserializers of serde hand nothing down that could hold it.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Limits what this thread reads, until it is dropped.
pub(crate) struct Limit {
    before: usize,
    /// It belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Limit {
    /// The limit for an object of so many bytes.
    pub(crate) fn of(bytes: usize) -> Self {
        let before = LEFT.replace(bytes.saturating_mul(RATIO).saturating_add(LEAST));
        Self { before, _thread: PhantomData }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        LEFT.set(self.before);
    }
}

/// An object takes more memory than is left to it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("more and smaller items than Kubernetes takes")]
pub(crate) struct Full;

/// Takes memory for an allocation of `bytes`.
pub(super) fn take(bytes: usize) -> Result<(), Full> {
    let left = LEFT.get().checked_sub(bytes.saturating_add(ALLOCATION)).ok_or(Full)?;
    LEFT.set(left);
    Ok(())
}

/// Reads something that is thrown away where it cannot be read, and its memory given back.
pub(super) fn attempt<T, E>(read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let before = LEFT.get();
    read().inspect_err(|_| LEFT.set(before))
}

/// A value in an allocation of its own.
pub(super) fn boxed<T>(value: T) -> Result<Box<T>, Full> {
    take(size_of::<T>())?;
    Ok(Box::new(value))
}
