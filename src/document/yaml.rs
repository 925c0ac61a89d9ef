//! One YAML document, read as kubectl's library reads it (`go.yaml.in/yaml/v2`, decode.go).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, Tag};

use super::scalar::{self, Scalar, ScalarError, TAGS};
use super::{DocumentError, Key, MERGE, Map, Node, Position, Value, mend};

/// The deepest nesting that is read. kubectl reads ten thousand levels; here each one costs stack.
const DEPTH: usize = 500;
/// Message about content after the end of a document.
const REST: &str =
    "follows the end of the document, where nothing is read; start another one with --- on a line of its own";
/// The longest key that is read, in characters.
const KEY: usize = 1 << 20;

/// Reads the first document of `text`, whose first line is line `first` of its file.
pub(super) fn read(text: &str, first: u64) -> Result<Option<Node>, DocumentError> {
    let before = first - 1;
    let refused = match parse(text, before) {
        Ok(found) => return found,
        Err(error) => error,
    };
    // kubectl's parser may accept what this one refuses.
    let (mut mended, mut error) = (text.to_owned(), refused.clone());
    for _ in 0..mend::MOST {
        if !mend::mend(&mut mended, &error) {
            break;
        }
        match parse(&mended, before) {
            Ok(found) => return found,
            Err(next) => error = next,
        }
    }
    Err(DocumentError { position: position(refused.marker(), before), message: refused.info() })
}

/// Fails if the text is not YAML; the inner result fails if the YAML has no value, as `!!int x`.
fn parse(text: &str, before: u64) -> Result<Result<Option<Node>, DocumentError>, ScanError> {
    let mut tree = Tree { before, nodes: Vec::new(), anchors: HashMap::new() };
    let Some(root) = tree.grow(text)? else { return Ok(Ok(None)) };
    let mut reader = Reader { tree: &tree, read: 0, repeated: 0, aliases: HashSet::new(), depth: 0 };
    Ok(reader.node(root).map(Some))
}

fn position(marker: &Marker, before: u64) -> Position {
    let line = u64::try_from(marker.line()).unwrap_or(u64::MAX).max(1);
    let column = u64::try_from(marker.col()).unwrap_or(u64::MAX);
    Position { line: line.saturating_add(before), column: column.saturating_add(1) }
}

/// The document as parsed, aliases not yet replaced.
struct Tree<'t> {
    /// Lines of the file before this document.
    before: u64,
    nodes: Vec<Written<'t>>,
    anchors: HashMap<usize, usize>,
}

struct Written<'t> {
    position: Position,
    form: Form<'t>,
}

enum Form<'t> {
    Scalar {
        text: Cow<'t, str>,
        is_plain: bool,
        tag: String,
    },
    /// Positions in [`Tree::nodes`].
    List(Vec<usize>),
    /// Keys and values in turn.
    Map(Vec<usize>),
    Alias(usize),
}

impl Form<'_> {
    fn push(&mut self, child: usize) {
        if let Self::List(children) | Self::Map(children) = self {
            children.push(child);
        }
    }
}

impl<'t> Tree<'t> {
    /// Finds the root of the first document; `None` in an empty one. kubectl ignores everything after it, so that anything
    /// there is an error.
    fn grow(&mut self, text: &'t str) -> Result<Option<usize>, ScanError> {
        let mut parser = Parser::new_from_str_with_options(text, options());
        let root = self.first(&mut parser)?;
        for next in parser {
            let (event, span) = next?;
            let is_nothing = match event {
                Event::Scalar(text, style, 0, None) => {
                    style == ScalarStyle::Plain && Scalar::plain(&text) == Scalar::Null
                }
                Event::DocumentStart(..) | Event::DocumentEnd | Event::StreamEnd => true,
                _ => false,
            };
            if !is_nothing {
                return Err(ScanError::new(span.start, REST));
            }
        }
        Ok(root)
    }

    fn first(
        &mut self,
        parser: &mut impl Iterator<Item = Result<(Event<'t>, Span), ScanError>>,
    ) -> Result<Option<usize>, ScanError> {
        let mut open: Vec<usize> = Vec::new();
        for next in parser {
            let (event, span) = next?;
            let index = match event {
                Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag.as_deref(), span),
                Event::SequenceStart(_, anchor, _) => self.add(Form::List(Vec::new()), anchor, span),
                Event::MappingStart(_, anchor, _) => self.add(Form::Map(Vec::new()), anchor, span),
                Event::Alias(anchor) => match self.anchors.get(&anchor) {
                    Some(&target) => self.add(Form::Alias(target), 0, span),
                    None => return Err(ScanError::new(span.start, "unknown anchor")),
                },
                Event::SequenceEnd | Event::MappingEnd => match (open.pop(), open.is_empty()) {
                    (root, true) => return Ok(root),
                    _ => continue,
                },
                Event::DocumentEnd | Event::StreamEnd => return Ok(None),
                _ => continue,
            };
            let is_collection = matches!(self.nodes[index].form, Form::List(_) | Form::Map(_));
            match open.last() {
                Some(&parent) => self.nodes[parent].form.push(index),
                None if !is_collection => return Ok(Some(index)),
                None => {}
            }
            if is_collection {
                open.push(index);
            }
        }
        Ok(None)
    }

    fn scalar(
        &mut self,
        text: Cow<'t, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> usize {
        let tag = tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix())).unwrap_or_default();
        let is_plain = tag.is_empty() && style == ScalarStyle::Plain;
        self.add(Form::Scalar { text, is_plain, tag }, anchor, span)
    }

    fn add(&mut self, form: Form<'t>, anchor: usize, span: Span) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Written { position: position(&span.start, self.before), form });
        if anchor != 0 {
            self.anchors.insert(anchor, index);
        }
        index
    }
}

/// Options of the parser, for every text.
pub(super) fn options() -> Options {
    granit_parser::options! {
        bom_inside_document_as_content: true,
        emit_comments: false,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
        simple_key_max_lookahead: KEY,
    }
}

/// Builds nodes from a tree.
struct Reader<'t> {
    tree: &'t Tree<'t>,
    /// Nodes read so far.
    read: usize,
    /// Nodes read because of an alias, part of `read`.
    repeated: usize,
    /// Targets of the aliases that are being read.
    aliases: HashSet<usize>,
    depth: usize,
}

impl Reader<'_> {
    fn node(&mut self, index: usize) -> Result<Node, DocumentError> {
        let Written { position, form } = &self.tree.nodes[index];
        let refused = |message: &str| DocumentError { position: *position, message: message.to_owned() };
        self.read += 1;
        self.repeated += usize::from(!self.aliases.is_empty());
        if is_bomb(self.read, self.repeated) {
            return Err(refused("most of this document is aliases"));
        }
        if self.depth > DEPTH {
            return Err(refused(&format!("is nested more than {DEPTH} levels deep")));
        }
        self.depth += 1;
        let value = match form {
            Form::Scalar { text, is_plain, tag } => {
                let value = match tag.strip_prefix(TAGS) {
                    Some("binary") => scalar::binary(text).map(Value::Text),
                    _ => resolve(text, *is_plain, tag).and_then(|scalar| scalar.value(Cow::Borrowed(text))),
                };
                value.map_err(|error| refused(&error.to_string()))?
            }
            Form::List(items) => Value::List(items.iter().map(|&item| self.node(item)).collect::<Result<_, _>>()?),
            Form::Map(fields) => {
                let mut map = Fields::default();
                self.fields(fields, &mut map)?;
                Value::Map(map.map)
            }
            Form::Alias(target) => {
                if !self.aliases.insert(*target) {
                    return Err(refused("this alias stands for something that contains it"));
                }
                let node = self.node(*target)?;
                self.aliases.remove(target);
                node.value
            }
        };
        self.depth -= 1;
        Ok(Node { position: *position, value })
    }

    /// Reads a mapping into `map`. A merge overrides the entries before it.
    fn fields(&mut self, fields: &[usize], map: &mut Fields) -> Result<(), DocumentError> {
        for pair in fields.chunks_exact(2) {
            let (key, value) = (pair[0], pair[1]);
            if self.is_merge(key) {
                map.merges(self.tree.nodes[key].position);
                self.merge(value, map)?;
                continue;
            }
            let key = Key { position: self.tree.nodes[key].position, name: self.key(key)? };
            let node = self.node(value)?;
            map.set(key, node, true);
        }
        Ok(())
    }

    fn is_merge(&self, key: usize) -> bool {
        let Form::Scalar { text, is_plain, tag } = &self.tree.nodes[key].form else { return false };
        text == MERGE && (*is_plain || tag == "!" || tag.strip_prefix(TAGS) == Some("merge"))
    }

    fn merge(&mut self, source: usize, map: &mut Fields) -> Result<(), DocumentError> {
        match &self.tree.nodes[source].form {
            // The first of several counts.
            Form::List(sources) => sources.iter().rev().try_for_each(|&source| self.merge_one(source, map)),
            _ => self.merge_one(source, map),
        }
    }

    fn merge_one(&mut self, source: usize, map: &mut Fields) -> Result<(), DocumentError> {
        let nodes = &self.tree.nodes;
        let target = match nodes[source].form {
            Form::Alias(target) => target,
            _ => source,
        };
        let Form::Map(_) = nodes[target].form else {
            let message = "a merge takes a mapping, or a list of mappings".to_owned();
            return Err(DocumentError { position: nodes[source].position, message });
        };
        let Node { value: Value::Map(merged), .. } = self.node(source)? else { return Ok(()) };
        if source == target {
            // The mapping is written in place, and read nowhere else.
            map.map.repeated.extend(merged.repeated);
        }
        merged.entries.into_iter().for_each(|(key, node)| map.set(key, node, false));
        Ok(())
    }

    fn key(&mut self, index: usize) -> Result<String, DocumentError> {
        let Written { position, form } = &self.tree.nodes[index];
        let key = match form {
            Form::Scalar { text, tag, .. } if tag.strip_prefix(TAGS) == Some("binary") => scalar::binary(text),
            Form::Scalar { text, is_plain, tag } => {
                resolve(text, *is_plain, tag).and_then(|scalar| scalar.key(Cow::Borrowed(text)))
            }
            Form::Alias(target) => return self.key(*target),
            Form::List(_) | Form::Map(_) => Err(ScalarError::CollectionKey),
        };
        key.map_err(|error| DocumentError { position: *position, message: error.to_string() })
    }
}

/// A mapping while it is read.
#[derive(Default)]
struct Fields {
    map: Map,
    /// Index of each key among the entries; true if it was written here and not merged.
    places: HashMap<String, (usize, bool)>,
    /// True once a merge key was read.
    merges: bool,
}

impl Fields {
    /// The last one counts; a key that was `written` here before and is again is remembered.
    fn set(&mut self, key: Key, node: Node, written: bool) {
        match self.places.get_mut(&key.name) {
            Some((place, was_written)) => {
                if written && std::mem::replace(was_written, true) {
                    self.map.repeated.push(key.clone());
                }
                self.map.entries[*place] = (key, node);
            }
            None => {
                self.places.insert(key.name.clone(), (self.map.entries.len(), written));
                self.map.entries.push((key, node));
            }
        }
    }

    /// Two merges are one key written twice; a list merges several mappings.
    fn merges(&mut self, position: Position) {
        if std::mem::replace(&mut self.merges, true) {
            self.map.repeated.push(Key { position, name: MERGE.to_owned() });
        }
    }
}

fn resolve(text: &str, is_plain: bool, tag: &str) -> Result<Scalar, ScalarError> {
    match (tag, is_plain) {
        ("", true) => Ok(Scalar::plain(text)),
        ("", false) => Ok(Scalar::Text),
        _ => Scalar::tagged(tag, text),
    }
}

/// True if too many of the nodes come from aliases: more than 99 % in small documents, more than 10 % from four million
/// nodes on (the limits of `go.yaml.in/yaml/v2`).
#[expect(clippy::cast_precision_loss, reason = "counts, far below 2^52")]
fn is_bomb(read: usize, repeated: usize) -> bool {
    const SMALL: f64 = 400_000.0;
    const LARGE: f64 = 4_000_000.0;
    if repeated <= 100 || read <= 1_000 {
        return false;
    }
    let size = (read as f64).clamp(SMALL, LARGE);
    let allowed = 0.99 - 0.89 * (size - SMALL) / (LARGE - SMALL);
    repeated as f64 / read as f64 > allowed
}
