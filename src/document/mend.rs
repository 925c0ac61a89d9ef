//! Small differences between parsers: what kubectl's takes as YAML and ours does not, written so that both do.

use granit_parser::{ErrorKind, Event, Parser, ScanError, StructureStyle};

use super::yaml;

/// How often one document is mended. Each time it is parsed again.
pub(super) const MOST: usize = 64;

/// Mends what `error` names; not if it is a fault for kubectl too.
pub(super) fn mend(text: &mut String, error: &ScanError) -> bool {
    match error.kind() {
        // `[a]# comment`
        ErrorKind::CommentNotSeparated => match error.marker().byte_offset() {
            Some(place) if text.get(place..).is_some_and(|rest| rest.starts_with('#')) => {
                text.insert(place, ' ');
                true
            }
            _ => false,
        },
        ErrorKind::TabInBlockIndentation | ErrorKind::TabNotAllowed => indent_flow(text),
        _ => false,
    }
}

/// Makes tabs that indent lines of a `{…}` or `[…]` spaces; there they mean nothing.
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
    let Ok(spaced) = String::from_utf8(spaced) else { return false };
    let flows = flows(&spaced);
    tabs.retain(|tab| flows.iter().any(|(start, end)| (*start..*end).contains(tab)));
    for tab in &tabs {
        text.replace_range(tab..&(tab + 1), " ");
    }
    !tabs.is_empty()
}

/// Where the outermost `{…}` and `[…]` of a text start and end.
fn flows(text: &str) -> Vec<(usize, usize)> {
    let mut flows = Vec::new();
    // One entry for each open collection: where the flow that it starts begins.
    let mut open: Vec<(StructureStyle, usize)> = Vec::new();
    for (event, span) in Parser::new_from_str_with_options(text, yaml::options()).map_while(Result::ok) {
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
    // Another fault may hide its end.
    let unclosed = open.iter().find(|(style, _)| *style == StructureStyle::Flow);
    flows.extend(unclosed.map(|(_, start)| (*start, text.len())));
    flows
}
