//! A limit on the memory that reading an object takes.
//!
//! Kubernetes bounds the bytes of an object but not the items of its lists, and an item of three bytes takes many times that
//! once it is read. The memory is therefore bounded in proportion to the bytes received.

use std::cell::Cell;
use std::marker::PhantomData;

/// Bytes of memory for each byte of an object. An API server sends nothing that takes more: the name of a capability is
/// read into 24 bytes, and takes three bytes where it is empty; an entry of a map is read into 48 bytes, and many different
/// keys take ten bytes each (`"abc":"",`); a container with its security context is read into some 300 bytes, and takes
/// more than 100 bytes once the API server has completed it.
const RATIO: usize = 8;
/// Bytes of memory that any object may take, whatever its length.
const LEAST: usize = 256 << 10;
/// Overhead of an allocation in bytes.
const ALLOCATION: usize = 16;

thread_local! {
    /// Bytes left for the current object. Thread-local, because serde's deserializers pass no context.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Limits the memory of what this thread reads, until it is dropped.
pub(crate) struct Limit {
    before: usize,
    /// Not `Send`: the limit belongs to the thread.
    _thread: PhantomData<*const ()>,
}

impl Limit {
    /// Sets the limit for an object of this length in bytes.
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

/// An object takes more memory than its limit.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("more and smaller items than Kubernetes takes")]
pub(crate) struct Full;

/// Takes memory for an allocation of `bytes`.
pub(super) fn take(bytes: usize) -> Result<(), Full> {
    let left = LEFT.get().checked_sub(bytes.saturating_add(ALLOCATION)).ok_or(Full)?;
    LEFT.set(left);
    Ok(())
}

/// Runs a read whose memory is given back to the limit if it fails, because its value is then dropped.
pub(super) fn attempt<T, E>(read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let before = LEFT.get();
    read().inspect_err(|_| LEFT.set(before))
}

/// Boxes a value.
pub(super) fn boxed<T>(value: T) -> Result<Box<T>, Full> {
    take(size_of::<T>())?;
    Ok(Box::new(value))
}
