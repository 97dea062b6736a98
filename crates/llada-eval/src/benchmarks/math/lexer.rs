//! The lexer of formulas, after the grammar of [SymPy](https://www.sympy.org), with which the harness parses answers.

/// A token of a formula.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Digit(char),
    /// A letter, an unknown command, or a `d` with the variable of the differential.
    Name(String),
    /// A known command, without its backslash.
    Command(&'static str),
    /// A function that may be written without parentheses.
    Function(&'static str),
    /// An operator, bracket, bar, comma or the like.
    Sign(char),
    OpenSet,
    CloseSet,
    Relation,
}

/// Commands that do not affect the value.
const SPACES: [&str; 15] = [
    "thinspace",
    "medspace",
    "thickspace",
    "quad",
    "qquad",
    "negthinspace",
    "negmedspace",
    "negthickspace",
    "left",
    "right",
    "vrule",
    "vcenter",
    "vbox",
    "vskip",
    "vspace",
];

const RELATIONS: [&str; 9] = ["neq", "leq", "le", "leqq", "leqslant", "geq", "ge", "geqq", "geqslant"];

const COMMANDS: [&str; 15] = [
    "frac", "dfrac", "tfrac", "binom", "dbinom", "tbinom", "sqrt", "times", "cdot", "div", "lfloor", "rfloor", "lceil",
    "rceil", "infty",
];

const FUNCTIONS: [&str; 22] = [
    "exp", "log", "lg", "ln", "sin", "cos", "tan", "csc", "sec", "cot", "arcsin", "arccos", "arctan", "arccsc",
    "arcsec", "arccot", "sinh", "cosh", "tanh", "arsinh", "arcosh", "artanh",
];

/// Commands of the grammar that are not supported: limits, sums, integrals, vectors.
const REFUSED: [&str; 10] = ["int", "sum", "prod", "lim", "langle", "rangle", "mathit", "overline", "hfil", "partial"];

/// Splits a formula into tokens. Returns `None` if a part of it is not a token.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            ' ' | '\t' | '\r' | '\n' => (None, 1),
            '\\' => command(&rest[1..])?,
            'd' => differential(rest),
            'a'..='z' | 'A'..='Z' => (Some(Token::Name(first.to_string())), 1),
            '0'..='9' => (Some(Token::Digit(first)), 1),
            '+' | '-' | '*' | '/' | ':' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '_' | '^' | '!' | ',' | '.'
            | '\'' => (Some(Token::Sign(first)), 1),
            '=' | '<' | '>' => (Some(Token::Relation), 1),
            _ => return None,
        };
        tokens.extend(token);
        rest = &rest[length..];
    }
    Some(tokens)
}

/// Returns the token of the command that consists of a backslash and the start of `rest`, and its length with the backslash.
fn command(rest: &str) -> Option<(Option<Token>, usize)> {
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let name = &rest[..letters];
    if name.is_empty() {
        return match rest.chars().next()? {
            '{' => Some((Some(Token::OpenSet), 2)),
            '}' => Some((Some(Token::CloseSet), 2)),
            ',' | ':' | ';' | '!' | '*' | '-' | '.' | '/' | '"' | '(' | '=' => Some((None, 2)),
            _ => None,
        };
    }
    // `\left|` and `\right|` are not the same token as `|`.
    if matches!(name, "left" | "right") && rest[letters..].starts_with('|') || REFUSED.contains(&name) {
        return None;
    }
    let token = if SPACES.contains(&name) {
        None
    } else if RELATIONS.contains(&name) {
        Some(Token::Relation)
    } else if let Some(command) = COMMANDS.into_iter().find(|&command| command == name) {
        Some(Token::Command(command))
    } else if let Some(function) = FUNCTIONS.into_iter().find(|&function| function == name) {
        Some(Token::Function(function))
    } else {
        Some(Token::Name(name.to_owned()))
    };
    Some((token, 1 + letters))
}

/// Returns the name of a differential, a `d` with the variable that follows it, or a `d` alone, and its length.
fn differential(rest: &str) -> (Option<Token>, usize) {
    let variable = rest[1..].trim_start_matches([' ', '\t', '\r', '\n']);
    let space = rest.len() - 1 - variable.len();
    let (backslash, name) = variable.strip_prefix('\\').map_or((0, variable), |name| (1, name));
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic).count();
    let letters = if backslash == 0 { letters.min(1) } else { letters };
    match letters {
        0 => (Some(Token::Name("d".to_owned())), 1),
        _ => (Some(Token::Name(format!("d{}", &name[..letters]))), 1 + space + backslash + letters),
    }
}
