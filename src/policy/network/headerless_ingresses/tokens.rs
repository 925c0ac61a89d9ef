//! The statements of a configuration of NGINX or HAProxy, as far as a header that one of them sets is concerned.

use crate::steps;

/// Bytes of text for which one step is taken.
const STEP: usize = 16;

/// A word, without its quotation marks, or the end of a statement or of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    End,
    Open,
    Close,
}

/// The language of a configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// Statements end with `;`, and blocks are in braces.
    Nginx,
    /// Statements end with the line.
    Haproxy,
}

/// The tokens of a text; those of HAProxy end with [`Token::End`] at the end of each line.
pub(super) fn tokens(text: &str, language: Language) -> Vec<Token> {
    let mut tokens = Vec::new();
    if !steps::take(u32::try_from(text.len() / STEP).unwrap_or(u32::MAX)) {
        return tokens;
    }
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            word.get_or_insert_default().extend(characters.next());
            continue;
        }
        if let Some(open) = quote {
            if character == open {
                quote = None;
            } else {
                word.get_or_insert_default().push(character);
            }
            continue;
        }
        let end = match (character, language) {
            ('"' | '\'', _) => {
                quote = Some(character);
                word.get_or_insert_default();
                continue;
            }
            ('#', _) if word.is_none() => {
                // A comment goes on to the end of the line.
                characters.by_ref().find(|character| *character == '\n');
                (language == Language::Haproxy).then_some(Token::End)
            }
            ('\n', Language::Haproxy) | (';', Language::Nginx) => Some(Token::End),
            ('{', Language::Nginx) => Some(Token::Open),
            ('}', Language::Nginx) => Some(Token::Close),
            (character, _) if character.is_whitespace() => None,
            (character, _) => {
                word.get_or_insert_default().push(character);
                continue;
            }
        };
        tokens.extend(word.take().map(Token::Word));
        tokens.extend(end);
    }
    tokens.extend(word.map(Token::Word));
    if language == Language::Haproxy {
        tokens.push(Token::End);
    }
    tokens
}

/// The statements outside any block, each as its words. One that nothing ends is none.
pub(super) fn statements(tokens: Vec<Token>) -> Vec<Vec<String>> {
    let (mut statements, mut words, mut depth) = (Vec::new(), Vec::new(), 0_usize);
    for token in tokens {
        match token {
            Token::Word(word) => words.push(word),
            Token::Open => {
                depth += 1;
                words.clear();
            }
            Token::Close => {
                depth = depth.saturating_sub(1);
                words.clear();
            }
            Token::End if depth == 0 && !words.is_empty() => statements.push(std::mem::take(&mut words)),
            Token::End => words.clear(),
        }
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::{Language, statements, tokens};

    fn read(text: &str, language: Language) -> Vec<String> {
        statements(tokens(text, language)).into_iter().map(|words| words.join("|")).collect()
    }

    #[test]
    fn statements_outside_blocks_are_read() {
        let text = "add_header A \"b; c\" always; # add_header D e;\nif ($x) { add_header F g; }\nmore_set_headers 'H: \"i\"';";
        assert_eq!(read(text, Language::Nginx), ["add_header|A|b; c|always", "more_set_headers|H: \"i\""]);
        assert_eq!(read("add_header A b", Language::Nginx), [""; 0], "nothing ends it");
        assert_eq!(read("add_header A \"b;", Language::Nginx), [""; 0]);
        let text = "http-response set-header A b\\ c # d\nhttp-response set-header E \"f g\" if { g }";
        assert_eq!(
            read(text, Language::Haproxy),
            ["http-response|set-header|A|b c", "http-response|set-header|E|f g|if|{|g|}"]
        );
    }
}
