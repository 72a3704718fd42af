//! Everything that `check` can find. Codes are never given to something else.

use crate::findings::Kind;

pub(crate) const UNREADABLE: Kind = Kind::error("E001", "unreadable");
pub(crate) const INVALID_SETTING: Kind = Kind::error("E002", "invalid-setting");
pub(crate) const NO_FORMAT_VERSION: Kind = Kind::error("E101", "no-format-version");
pub(crate) const GUARD_ALONE: Kind = Kind::error("E102", "guard-alone");
pub(crate) const TWO_DECIDE: Kind = Kind::error("E103", "two-entries-decide");
pub(crate) const MIXED_ROUTES: Kind = Kind::error("E104", "mixed-requests");
pub(crate) const CACHE: Kind = Kind::error("E105", "cache-before-decision");
pub(crate) const AROUND: Kind = Kind::error("E106", "around-the-filter");
pub(crate) const DEADLY_RESETS: Kind = Kind::error("E110", "deadly-resets");
pub(crate) const WASM_OFF: Kind = Kind::error("E111", "wasm-off");

pub(crate) const BROAD_OPERATIONS: Kind = Kind::warning("W001", "broad-operations");
pub(crate) const NO_ALLOW: Kind = Kind::warning("W002", "no-allow");
pub(crate) const BROAD_PATHS: Kind = Kind::warning("W003", "broad-paths");
pub(crate) const LIMITS_UNDONE: Kind = Kind::warning("W010", "limits-undone");
pub(crate) const UNREACHABLE_RULE: Kind = Kind::warning("W011", "unreachable-rule");
pub(crate) const THRIFT_PASSES: Kind = Kind::warning("W012", "thrift-passes");
pub(crate) const NEVER_HOLDS: Kind = Kind::warning("W013", "never-holds");
pub(crate) const NOTHING_ALLOWED: Kind = Kind::warning("W014", "nothing-allowed");
pub(crate) const UNKNOWN_FIELDS: Kind = Kind::warning("W015", "unknown-fields");
pub(crate) const PLAIN_SECRET: Kind = Kind::warning("W020", "plain-secret");
pub(crate) const ALL_APIS: Kind = Kind::warning("W021", "all-apis");
pub(crate) const COVERED_PATTERN: Kind = Kind::warning("W030", "covered-pattern");
pub(crate) const UNREACHABLE_ROLE: Kind = Kind::warning("W031", "unreachable-role");
pub(crate) const GRANT_PAST: Kind = Kind::warning("W040", "grant-past");
pub(crate) const ALLOW_HTTP: Kind = Kind::warning("W041", "allow-http");
pub(crate) const OBSERVE: Kind = Kind::warning("W042", "observe");
pub(crate) const NO_TOKEN_CACHE: Kind = Kind::warning("W043", "no-token-cache");
pub(crate) const JOINED_GROUPS: Kind = Kind::warning("W044", "joined-groups");
pub(crate) const GUARD_NOT_LAST: Kind = Kind::warning("W101", "guard-not-last");
pub(crate) const GUARD_AMONG_PLUGINS: Kind = Kind::warning("W102", "guard-among-plugins");
pub(crate) const RETRIES: Kind = Kind::warning("W103", "retries");
pub(crate) const STRIPPED_PATH: Kind = Kind::warning("W104", "stripped-path");
pub(crate) const ANSWERS: Kind = Kind::warning("W105", "answers-before-decision");
pub(crate) const SMUGGLING: Kind = Kind::warning("W106", "request-smuggling");
pub(crate) const SETTING: Kind = Kind::warning("W110", "kong-setting");
