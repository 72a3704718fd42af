//! The words that this scanner never takes for a name, although Spark does in some places.
//!
//! Nearly every keyword may be a name in Spark (`SELECT a AS FROM secret` has a column called `as`), so the same words
//! can be cut into clauses in two ways. Where a name is expected and one of these words stands there without
//! back-quotes, the text is refused, and so there is only one way left.

/// Words that begin a clause, join relations or queries, or open a query.
const STRONG: &[&str] = &[
    "anti",
    "as",
    "cross",
    "except",
    "from",
    "full",
    "group",
    "having",
    "inner",
    "insert",
    "intersect",
    "into",
    "join",
    "lateral",
    "left",
    "minus",
    "natural",
    "on",
    "right",
    "select",
    "semi",
    "table",
    "union",
    "using",
    "values",
    "where",
    "with",
];

/// Words that are operators or parts of `CASE`, so no operand begins with them.
const OPERATORS: &[&str] = &[
    "and", "between", "by", "div", "else", "end", "ilike", "in", "is", "like", "or", "order", "regexp", "rlike",
    "then", "when",
];

/// Words that may follow a complete expression or relation with a meaning of their own, so that they are no alias
/// unless `AS` stands before them.
const FOLLOWERS: &[&str] = &[
    "asc",
    "bulk",
    "cluster",
    "collate",
    "cube",
    "delete",
    "desc",
    "distribute",
    "escape",
    "fetch",
    "filter",
    "for",
    "grouping",
    "ignore",
    "limit",
    "not",
    "nulls",
    "offset",
    "over",
    "pivot",
    "placing",
    "qualify",
    "respect",
    "rollup",
    "set",
    "sort",
    "stream",
    "tablesample",
    "timestamp",
    "unpivot",
    "update",
    "version",
    "window",
    "within",
];

fn is_in(words: &[&str], word: &str) -> bool {
    words.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Not a name anywhere, except behind a dot.
pub(super) fn is_strong(word: &str) -> bool {
    is_in(STRONG, word)
}

/// Does not begin an operand.
pub(super) fn is_no_operand(word: &str) -> bool {
    is_in(STRONG, word) || is_in(OPERATORS, word)
}

/// Not an alias without `AS`.
pub(super) fn is_no_alias(word: &str) -> bool {
    is_in(STRONG, word) || is_in(OPERATORS, word) || is_in(FOLLOWERS, word)
}
