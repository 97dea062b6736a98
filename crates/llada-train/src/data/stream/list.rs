//! Files that are one JSON list of records, as Alpaca's and ShareGPT's were published: where the records are in them.

use std::ops::Range;

/// A walk through the bytes of a list.
#[derive(Debug, Default)]
pub(super) struct Elements {
    at: u64,
    /// The number of brackets and braces that are open; 1 between the elements.
    depth: usize,
    is_text: bool,
    is_escaped: bool,
    /// Where the element began.
    start: Option<u64>,
    is_over: bool,
}

impl Elements {
    /// The walk that begins between two elements.
    pub(super) fn inside() -> Self {
        Self { depth: 1, ..Self::default() }
    }

    /// Takes the next byte. Returns where the element is that ends before it, if one does.
    ///
    /// # Errors
    /// Something follows the list.
    pub(super) fn push(&mut self, byte: u8) -> Result<Option<Range<u64>>, String> {
        let at = self.at;
        self.at += 1;
        if self.is_text {
            self.is_text = self.is_escaped || byte != b'"';
            self.is_escaped = !self.is_escaped && byte == b'\\';
            return Ok(None);
        }
        if byte.is_ascii_whitespace() {
            return Ok(None);
        }
        if self.is_over {
            return Err("something follows its list".to_owned());
        }
        let is_between = matches!((self.depth, byte), (1, b',' | b']'));
        if self.depth >= 1 && !is_between {
            self.start.get_or_insert(at);
        }
        match byte {
            b'"' => self.is_text = true,
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.is_over = self.depth == 0;
        Ok(if is_between { self.start.take().map(|start| start..at) } else { None })
    }

    /// Whether the list has ended.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The number of bytes of the element so far.
    pub(super) fn length(&self) -> u64 {
        self.start.map_or(0, |start| self.at - start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Result<Vec<&str>, String> {
        let (mut walk, mut found) = (Elements::default(), Vec::new());
        for byte in text.bytes() {
            found.extend(walk.push(byte)?.map(|range| &text[range.start as usize..range.end as usize]));
        }
        if walk.is_over() { Ok(found) } else { Err("cut off".to_owned()) }
    }

    #[test]
    fn elements_are_found_whatever_is_in_them() {
        let odd = r#"{"a": "] , } \" [\\", "b": [1, {"c": []}]}"#;
        assert_eq!(elements(&format!(" [\n{odd},\n {{}} , 7]\n")).unwrap(), [odd, "{} ", "7"]);
        assert_eq!(elements("[]").unwrap(), [""; 0]);
        for cut in ["[", "[{}", "[{},", r#"[{"a": "]"#, ""] {
            assert_eq!(elements(cut).unwrap_err(), "cut off", "{cut}");
        }
        assert_eq!(elements("[{}] [").unwrap_err(), "something follows its list");
    }
}
