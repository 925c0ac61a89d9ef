//! Boundaries of HTTP/2 frames in a stream of bytes (RFC 9113, 3.4, 4.1 and 6.10).

/// Bytes of the client's connection preface.
const PREFACE: usize = 24;
/// Bytes of a frame's header.
const HEADER: usize = 9;
/// Frame types that carry headers.
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
/// The flag of the frame that ends a block of headers.
const END_HEADERS: u8 = 0x4;

/// Position in a client's frames.
pub(super) struct Frames {
    /// Bytes that are missing of the preface, or of a frame's payload.
    missing: usize,
    /// The header of the frame that comes, so far.
    header: [u8; HEADER],
    had: usize,
    opening: Opening,
    /// Set while a block of headers has begun and not ended.
    is_in_block: bool,
    /// Set when the current frame ends that block.
    ends_block: bool,
}

/// The preface and the frame that must follow it.
#[derive(PartialEq, Eq)]
enum Opening {
    Preface,
    Settings,
    Done,
}

/// Position at which bytes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Between frames, and not within a block of headers.
    Whole,
    /// Within a frame or a block that had begun before these bytes.
    Within,
    /// Within one that began in them.
    WithinNew,
}

impl Frames {
    /// The frames of a connection that is new.
    pub(super) fn new() -> Self {
        Self {
            missing: PREFACE,
            header: [0; HEADER],
            had: 0,
            opening: Opening::Preface,
            is_in_block: false,
            ends_block: false,
        }
    }

    /// Takes bytes that came.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> End {
        let mut was_whole = false;
        while !bytes.is_empty() {
            if self.missing > 0 {
                let taken = self.missing.min(bytes.len());
                self.missing -= taken;
                bytes = &bytes[taken..];
            } else {
                let taken = (HEADER - self.had).min(bytes.len());
                self.header[self.had..self.had + taken].copy_from_slice(&bytes[..taken]);
                self.had += taken;
                bytes = &bytes[taken..];
                if self.had < HEADER {
                    break;
                }
                self.begin();
            }
            if self.missing == 0 && self.end() {
                was_whole = true;
            }
        }
        match (self.is_whole(), was_whole) {
            (true, _) => End::Whole,
            (false, true) => End::WithinNew,
            (false, false) => End::Within,
        }
    }

    fn begin(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.missing = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.had = 0;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.is_in_block = true;
            self.ends_block = flags & END_HEADERS != 0;
        }
    }

    /// The preface or a frame ends; whether nothing is unfinished then.
    fn end(&mut self) -> bool {
        if self.opening == Opening::Preface {
            self.opening = Opening::Settings;
            return false;
        }
        self.opening = Opening::Done;
        self.is_in_block &= !std::mem::take(&mut self.ends_block);
        self.is_whole()
    }

    fn is_whole(&self) -> bool {
        self.missing == 0 && self.had == 0 && self.opening == Opening::Done && !self.is_in_block
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Frames};

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).expect("short").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.resize(9 + payload, 0xff);
        frame
    }

    #[test]
    fn frames_are_found_however_their_bytes_are_cut() {
        let all = [
            (PREFACE.to_vec(), false),
            (frame(4, 0, 0), true),
            (frame(4, 0, 18), true),
            (frame(1, 4, 300), true),
            (frame(0, 1, 70_000), true),
            (frame(1, 0, 10), false),
            (frame(9, 0, 0), false),
            (frame(9, 4, 5), true),
            (frame(6, 0, 8), true),
        ];
        for size in [1, 2, 7, 9, 10, 1_000] {
            let mut frames = Frames::new();
            for (bytes, is_whole) in &all {
                let pieces: Vec<End> = bytes.chunks(size).map(|piece| frames.feed(piece)).collect();
                let (last, before) = pieces.split_last().expect("bytes");
                assert_eq!(*last == End::Whole, *is_whole, "{bytes:?} in pieces of {size}");
                assert!(before.iter().all(|end| *end == End::Within));
            }
            let mut two = frame(6, 0, 8);
            two.extend(&frame(6, 0, 8)[..4]);
            assert_eq!(frames.feed(&two), End::WithinNew);
        }
    }
}
