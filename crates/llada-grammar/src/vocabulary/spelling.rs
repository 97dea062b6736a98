//! How tokenizers spell the bytes of a piece.

/// How a tokenizer spells bytes as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// Byte-level BPE as in GPT-2: a character for each byte, `Ġ` for a space. A piece with other characters stands for
    /// itself.
    ByteLevel,
    /// SentencePiece: `▁` for a space, which is kept at the start of a text too, and `<0x0A>` for a byte.
    SentencePiece,
    /// As SentencePiece, without bytes.
    Metaspace,
}

impl Spelling {
    /// Returns the bytes that a piece stands for.
    pub fn bytes(self, piece: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel => {
                piece.chars().map(byte_of).collect::<Option<_>>().unwrap_or_else(|| piece.as_bytes().to_vec())
            }
            Self::SentencePiece => match byte_token(piece) {
                Some(byte) => vec![byte],
                None => Self::Metaspace.bytes(piece),
            },
            Self::Metaspace => piece.replace('▁', " ").into_bytes(),
        }
    }
}

/// Returns the byte that a character stands for in GPT-2's table: visible characters of Latin-1 stand for themselves, and
/// the characters from U+0100 on for the other bytes in ascending order.
fn byte_of(character: char) -> Option<u8> {
    match character {
        '!'..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}' => u8::try_from(character).ok(),
        '\u{100}'..='\u{143}' => {
            let number = character as u32 - 0x100;
            u8::try_from(match number {
                0..=32 => number,
                33..=66 => number - 33 + 0x7f,
                _ => 0xad,
            })
            .ok()
        }
        _ => None,
    }
}

/// Reads `<0x0A>`.
fn byte_token(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_hexadecimal = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let bytes: Vec<u8> = ('\0'..'\u{200}').filter_map(byte_of).collect();
        assert_eq!((bytes.len(), bytes.iter().collect::<HashSet<_>>().len()), (256, 256));
        // From `bytes_to_unicode` of GPT-2.
        let expected = [0, 10, 32, 127, 160, 173, 33, 255];
        assert_eq!("ĀĊĠġłŃ!ÿ".chars().filter_map(byte_of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn pieces_stand_for_bytes() {
        assert_eq!(Spelling::ByteLevel.bytes("ĠÃ©"), " é".as_bytes());
        assert_eq!(Spelling::ByteLevel.bytes("a b▁"), "a b▁".as_bytes());
        assert_eq!(Spelling::SentencePiece.bytes("▁a▁"), b" a ");
        assert_eq!(Spelling::SentencePiece.bytes("<0xE2>"), [0xe2]);
        assert_eq!(Spelling::SentencePiece.bytes("<0x+1>"), b"<0x+1>");
        assert_eq!(Spelling::Metaspace.bytes("<0xE2>"), b"<0xE2>");
    }
}
