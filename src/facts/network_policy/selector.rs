//! Calico's language of selectors: `has(k)`, `!has(k)`, `k == "v"`, `k != "v"`, `k in {"a", "b"}`, `k not in {…}`, `k contains "v"`,
//! `k starts with "v"`, `k ends with "v"`, `all()`, `global()`, `!`, `&&`, `||` and parentheses.

use super::expression::Expression;
use super::{Operator, Requirement};

/// Maximum length of a selector, in bytes.
const LENGTH: usize = 64 << 10;
/// Maximum depth of parentheses.
const DEPTH: usize = 32;

/// A selector that Calico would refuse, or that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token<'t> {
    /// A key of a label.
    Key(&'t str),
    /// A value.
    Text(&'t str),
    Has(&'t str),
    All,
    Global,
    Equal,
    Unequal,
    In,
    NotIn,
    Contains,
    StartsWith,
    EndsWith,
    Not,
    And,
    Or,
    Open,
    Close,
    OpenSet,
    CloseSet,
    Comma,
}

/// The condition that a selector is: each label is made a condition by `label`. Without any condition everything is selected.
/// `global()` selects what is in no namespace, and so no Pod.
pub(super) fn parse(text: &str, label: &dyn Fn(Requirement) -> Expression) -> Result<Expression, Malformed> {
    if text.len() > LENGTH {
        return Err(Malformed);
    }
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(Expression::Always);
    }
    let mut parser = Parser { tokens: &tokens, label, depth: 0 };
    let expression = parser.any()?;
    if parser.tokens.is_empty() { Ok(expression) } else { Err(Malformed) }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, Malformed> {
    let mut tokens = Vec::new();
    let mut rest = trimmed(text);
    while !rest.is_empty() {
        let (token, left) = token(rest, tokens.last())?;
        tokens.push(token);
        rest = trimmed(left);
    }
    Ok(tokens)
}

fn trimmed(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// The first token of a text, and what follows.
fn token<'t>(text: &'t str, last: Option<&Token<'t>>) -> Result<(Token<'t>, &'t str), Malformed> {
    const SIGNS: [(&str, Token<'static>); 10] = [
        ("==", Token::Equal),
        ("!=", Token::Unequal),
        ("&&", Token::And),
        ("||", Token::Or),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
        ("{", Token::OpenSet),
        ("}", Token::CloseSet),
        (",", Token::Comma),
    ];
    for (sign, token) in SIGNS {
        if let Some(rest) = text.strip_prefix(sign) {
            return Ok((token, rest));
        }
    }
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            let (value, rest) = rest.split_once(quote).ok_or(Malformed)?;
            return Ok((Token::Text(value), rest));
        }
    }
    if matches!(last, Some(Token::Key(_))) {
        return operator(text);
    }
    if let Some(rest) = text.strip_prefix("has(") {
        let (key, rest) = key(trimmed(rest))?;
        return Ok((Token::Has(key), trimmed(rest).strip_prefix(')').ok_or(Malformed)?));
    }
    for (function, token) in [("all(", Token::All), ("global(", Token::Global)] {
        if let Some(rest) = text.strip_prefix(function) {
            return Ok((token, trimmed(rest).strip_prefix(')').ok_or(Malformed)?));
        }
    }
    let (key, rest) = key(text)?;
    Ok((Token::Key(key), rest))
}

/// An operator of words, which follows a key.
fn operator(text: &str) -> Result<(Token<'_>, &str), Malformed> {
    const WORDS: [(&str, &str, Token<'static>); 5] = [
        ("contains", "", Token::Contains),
        ("starts", "with", Token::StartsWith),
        ("ends", "with", Token::EndsWith),
        ("not", "in", Token::NotIn),
        ("in", "", Token::In),
    ];
    for (first, second, token) in WORDS {
        if let Some(rest) = text.strip_prefix(first) {
            let rest = if second.is_empty() { rest } else { trimmed(rest).strip_prefix(second).ok_or(Malformed)? };
            return Ok((token, rest));
        }
    }
    Err(Malformed)
}

/// The key at the beginning of a text.
fn key(text: &str) -> Result<(&str, &str), Malformed> {
    let is_key = |character: char| character.is_ascii_alphanumeric() || "_./-".contains(character);
    let (key, rest) = text.split_at(text.find(|character| !is_key(character)).unwrap_or(text.len()));
    if key.is_empty() { Err(Malformed) } else { Ok((key, rest)) }
}

/// A condition on part of a value. Every value holds the empty text.
fn part(text: String, operator: fn(String) -> Operator) -> Operator {
    if text.is_empty() { Operator::Exists } else { operator(text) }
}

struct Parser<'p, 't> {
    tokens: &'p [Token<'t>],
    label: &'p dyn Fn(Requirement) -> Expression,
    depth: usize,
}

impl<'p, 't> Parser<'p, 't> {
    fn next(&mut self) -> Option<&'p Token<'t>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn takes(&mut self, token: &Token<'_>) -> bool {
        let is_next = self.tokens.first() == Some(token);
        if is_next {
            self.next();
        }
        is_next
    }

    fn any(&mut self) -> Result<Expression, Malformed> {
        let mut parts = vec![self.every()?];
        while self.takes(&Token::Or) {
            parts.push(self.every()?);
        }
        Ok(Expression::any(parts))
    }

    fn every(&mut self) -> Result<Expression, Malformed> {
        let mut parts = vec![self.one()?];
        while self.takes(&Token::And) {
            parts.push(self.one()?);
        }
        Ok(Expression::every(parts))
    }

    fn one(&mut self) -> Result<Expression, Malformed> {
        let mut is_negated = false;
        while self.takes(&Token::Not) {
            is_negated = !is_negated;
        }
        let found = match self.next().ok_or(Malformed)? {
            Token::All => Expression::Always,
            Token::Global => Expression::Never,
            Token::Has(key) => self.label(key, Operator::Exists),
            Token::Key(key) => self.comparison(key)?,
            Token::Open => {
                self.depth += 1;
                if self.depth > DEPTH {
                    return Err(Malformed);
                }
                let inside = self.any()?;
                self.depth -= 1;
                if !self.takes(&Token::Close) {
                    return Err(Malformed);
                }
                inside
            }
            _ => return Err(Malformed),
        };
        Ok(if is_negated { Expression::not(found) } else { found })
    }

    fn comparison(&mut self, key: &str) -> Result<Expression, Malformed> {
        let operator = match self.next().ok_or(Malformed)? {
            Token::Equal => Operator::In(vec![self.text()?]),
            Token::Unequal => Operator::NotIn(vec![self.text()?]),
            Token::Contains => part(self.text()?, Operator::Contains),
            Token::StartsWith => part(self.text()?, Operator::StartsWith),
            Token::EndsWith => part(self.text()?, Operator::EndsWith),
            Token::In => Operator::In(self.set()?),
            Token::NotIn => Operator::NotIn(self.set()?),
            _ => return Err(Malformed),
        };
        Ok(self.label(key, operator))
    }

    fn label(&self, key: &str, operator: Operator) -> Expression {
        (self.label)(Requirement { key: key.to_owned(), operator })
    }

    fn text(&mut self) -> Result<String, Malformed> {
        match self.next() {
            Some(Token::Text(text)) => Ok((*text).to_owned()),
            _ => Err(Malformed),
        }
    }

    /// The values of a set, of which the last may be followed by a comma.
    fn set(&mut self) -> Result<Vec<String>, Malformed> {
        if !self.takes(&Token::OpenSet) {
            return Err(Malformed);
        }
        let mut values = Vec::new();
        while let Some(Token::Text(text)) = self.tokens.first() {
            self.next();
            values.push((*text).to_owned());
            if !self.takes(&Token::Comma) {
                break;
            }
        }
        if self.takes(&Token::CloseSet) { Ok(values) } else { Err(Malformed) }
    }
}
