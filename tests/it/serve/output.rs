//! An output of a process: read on for as long as it runs, and up to date whenever somebody looks.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::net::unix::pipe::Receiver;

/// `O_NONBLOCK` of Linux.
const NONBLOCKING: i32 = 0o4000;

/// The bytes of a pipe so far. Whoever looks reads what is in the pipe: what the process wrote before is never missed.
#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Pipe>>);

struct Pipe {
    file: File,
    kept: Vec<u8>,
    is_over: bool,
}

impl Output {
    /// Reads a pipe from now on, also while nobody looks: the process would stand still once it is full.
    pub(crate) fn follow(pipe: impl AsRawFd) -> Self {
        // Opened once more, since whoever looks must not wait.
        let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
        let file = OpenOptions::new().read(true).custom_flags(NONBLOCKING).open(path).expect("the pipe");
        let waiting = file.try_clone().expect("the pipe, twice");
        let output = Self(Arc::new(Mutex::new(Pipe { file, kept: Vec::new(), is_over: false })));
        let followed = output.clone();
        std::thread::spawn(move || {
            super::client::block(async {
                let waiting = Receiver::from_file(waiting).expect("a pipe");
                while !followed.is_over() {
                    waiting.readable().await.expect("the pipe");
                    followed.take(&waiting);
                }
            });
        });
        output
    }

    /// The same for the one that waits, which learns by it that there is nothing more for now.
    fn take(&self, waiting: &Receiver) {
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = waiting.try_read(&mut buffer) {
            pipe.kept.extend_from_slice(&buffer[..count]);
        }
    }

    /// Reads what is there.
    fn read(&self) -> MutexGuard<'_, Pipe> {
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Pipe { file, kept, is_over } = &mut *pipe;
        // It ends when there is nothing more for now, or nothing more at all.
        match file.read_to_end(kept) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => *is_over = true,
        }
        pipe
    }

    /// True if the process has closed it.
    pub(crate) fn is_over(&self) -> bool {
        self.read().is_over
    }
}

/// Text that an output has received so far.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.read().kept).into_owned()
}

pub(crate) fn json_lines(output: &Output) -> Vec<Value> {
    text(output).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
