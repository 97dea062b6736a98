//! Reading numbers and texts from the front of a file, of which no byte beyond the end is read.

use std::ops::Range;

/// A position in the bytes of a file. Messages of errors name what was being read and where.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Returns the next `count` bytes, which are `what`.
    pub(crate) fn take(&mut self, count: u64, what: &str) -> Result<Range<usize>, String> {
        let left = self.bytes.len() - self.position;
        match usize::try_from(count).ok().filter(|&count| count <= left) {
            Some(count) => {
                self.position += count;
                Ok(self.position - count..self.position)
            }
            None => Err(format!("{what} at byte {} takes {count} bytes, of which the file has {left}", self.position)),
        }
    }

    /// Returns the next `N` bytes, which are `what`.
    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let range = self.take(N as u64, what)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[range]);
        Ok(array)
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &str) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// Returns a text: its length, and as many bytes of UTF-8.
    pub(crate) fn text(&mut self, what: &str) -> Result<&'a str, String> {
        let length = self.u64(what)?;
        let start = self.position;
        let range = self.take(length, what)?;
        std::str::from_utf8(&self.bytes[range]).map_err(|_| format!("{what} at byte {start} is not UTF-8"))
    }

    /// Returns a number of things of which each takes `least` bytes or more, so that as many can be in the file.
    pub(crate) fn count(&mut self, least: usize, what: &str) -> Result<usize, String> {
        let count = self.u64(what)?;
        let most = (self.bytes.len() - self.position) / least;
        match usize::try_from(count).ok().filter(|&count| count <= most) {
            Some(count) => Ok(count),
            None => Err(format!("{what} is {count}, and the file has room for {most} at most")),
        }
    }
}
