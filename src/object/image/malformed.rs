//! The error of parsing an image reference.

use std::fmt;

/// The rule of the grammar that a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The text is empty.
    Empty,
    /// The digest after `@` is not `sha256:` and 64 lower-case hexadecimal digits.
    Digest,
    /// 64 hexadecimal digits alone, which are the id of an image.
    Identifier,
    /// It begins with a scheme, as a URL does.
    Scheme,
    /// The text after the last colon is not a tag.
    Tag,
    /// The tag is longer than 128 characters.
    TagTooLong,
    /// The text before the first slash is neither a host name nor an address.
    Domain,
    /// The text after the host is not a port number.
    Port,
    /// The path has an upper-case letter.
    UpperCase,
    /// The path has an empty component.
    EmptyComponent,
    /// The path has a character that is not allowed in it.
    Character,
    /// A component of the path starts or ends with a separator, or has one that is not allowed.
    Separator,
    /// The path is longer than 255 characters.
    TooLong,
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self {
            Self::Empty => "nothing is written",
            Self::Digest => {
                return out.write_str("has a digest that is not sha256: and 64 lower-case hexadecimal digits");
            }
            Self::Identifier => "64 hexadecimal digits are the id of an image, and not its name",
            Self::Scheme => "it must not have a scheme such as https://",
            Self::Tag => {
                "the tag, after the colon, must be letters, digits, underscores, dots and dashes, and not begin with a dot \
                 or a dash"
            }
            Self::TagTooLong => "the tag must not be longer than 128 characters",
            Self::Domain => "the registry, before the first slash, must be a host name or an address",
            Self::Port => "the port of the registry must be a number",
            Self::UpperCase => "the repository name must be lower case",
            Self::EmptyComponent => "the repository name must have something before, between and after its slashes",
            Self::Character => {
                "the repository name must be of lower-case letters, digits, dots, underscores, dashes and slashes"
            }
            Self::Separator => {
                "each part of the repository name must begin and end with a letter or a digit, and have one dot, one or two \
                 underscores, or dashes between them"
            }
            Self::TooLong => {
                "the repository name must not be longer than 255 characters, with library/ before a name of one part"
            }
        };
        write!(out, "is not an image reference: {rule}")
    }
}
