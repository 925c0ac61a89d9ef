//! Rewrites YAML that kubectl's parser accepts and ours does not, so that both accept it.

use granit_parser::{ErrorKind, Event, Parser, ScanError, StructureStyle};

use super::yaml;

/// Maximum number of rewrites of one document. It is parsed again after each.
pub(super) const MOST: usize = 64;

/// Rewrites the text at `error`; returns false if it is an error for kubectl too.
pub(super) fn mend(text: &mut String, error: &ScanError) -> bool {
    match error.kind() {
        // `[a]# comment`
        ErrorKind::CommentNotSeparated => comment(text, error).map(|place| text.insert(place, ' ')).is_some(),
        ErrorKind::TabInBlockIndentation | ErrorKind::TabNotAllowed => indent_flow(text),
        _ => false,
    }
}

/// Byte offset of a comment that is not separated from the value before it.
fn comment(text: &str, error: &ScanError) -> Option<usize> {
    let place = error.marker().byte_offset()?;
    text.get(place..)?.starts_with('#').then_some(place)
}

/// Replaces tabs that indent lines inside `{…}` or `[…]`, where indentation has no meaning, by spaces.
fn indent_flow(text: &mut String) -> bool {
    let mut spaced = text.clone().into_bytes();
    let mut tabs = Vec::new();
    let mut is_leading = true;
    for (place, byte) in spaced.iter_mut().enumerate() {
        if is_leading && *byte == b'\t' {
            tabs.push(place);
            *byte = b' ';
        }
        is_leading = *byte == b'\n' || (is_leading && *byte == b' ');
    }
    let Ok(mut spaced) = String::from_utf8(spaced) else { return false };
    let mut found = flows(&spaced);
    for _ in 0..MOST {
        // The parser looks ahead, so that such a comment hides the values before it.
        let Err((ErrorKind::CommentNotSeparated, error)) = found.as_ref().map_err(|error| (error.kind(), error)) else {
            break;
        };
        let Some(place) = comment(&spaced, error) else { break };
        spaced.insert(place, ' ');
        text.insert(place, ' ');
        tabs.iter_mut().filter(|tab| **tab >= place).for_each(|tab| *tab += 1);
        found = flows(&spaced);
    }
    let Ok(flows) = found else { return false };
    tabs.retain(|tab| flows.iter().any(|(start, end)| (*start..*end).contains(tab)));
    for tab in &tabs {
        text.replace_range(tab..&(tab + 1), " ");
    }
    !tabs.is_empty()
}

/// Byte ranges of the outermost `{…}` and `[…]` of a text.
fn flows(text: &str) -> Result<Vec<(usize, usize)>, ScanError> {
    let mut flows = Vec::new();
    // Style and start of each open collection.
    let mut open: Vec<(StructureStyle, usize)> = Vec::new();
    for next in Parser::new_from_str_with_options(text, yaml::options()) {
        let (event, span) = next?;
        match event {
            Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                open.push((style, span.start.byte_offset().unwrap_or_default()));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let closed = open.pop();
                let is_outermost = open.last().is_none_or(|(style, _)| *style == StructureStyle::Block);
                if let Some((StructureStyle::Flow, start)) = closed
                    && is_outermost
                {
                    flows.push((start, span.end.byte_offset().unwrap_or_default()));
                }
            }
            _ => {}
        }
    }
    Ok(flows)
}
