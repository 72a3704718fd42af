//! Everything that `check` can find. Codes are never given to something else; docs/check.md has an entry for each, which a test holds it to.

use crate::findings::Kind;

/// Declares the kinds, and the list of them.
macro_rules! kinds {
    ($($constant:ident: $severity:ident $code:literal $name:literal,)*) => {
        $(pub(crate) const $constant: Kind = Kind::$severity($code, $name);)*
        /// All of them, by code.
        pub(crate) const ALL: &[&Kind] = &[$(&$constant),*];
    };
}

kinds! {
    UNREADABLE: error "E001" "unreadable",
    INVALID_SETTING: error "E002" "invalid-setting",
    READ_OTHERWISE: error "E003" "kong-reads-otherwise",
    OPEN_TO_STRANGERS: error "E020" "open-to-strangers",
    ISSUER_OF_NO_TOKEN: error "E021" "issuer-of-no-token",
    VAULT_REFERENCE: error "E022" "vault-reference-as-text",
    WORKSPACE_ID: error "E023" "workspace-id",
    NO_FORMAT_VERSION: error "E101" "no-format-version",
    GUARD_ALONE: error "E102" "guard-alone",
    TWO_DECIDE: error "E103" "two-entries-decide",
    MIXED_ROUTES: error "E104" "mixed-requests",
    CACHE: error "E105" "cache-before-decision",
    AROUND: error "E106" "around-the-filter",
    MISTYPED: error "E107" "mistyped",
    OTHER_WORKSPACE: error "E108" "other-workspace",
    SECOND_PLUGIN: error "E109" "without-second-plugin",
    DEADLY_RESETS: error "E110" "deadly-resets",
    WASM_OFF: error "E111" "wasm-off",
    PLUGIN_OFF: error "E112" "plugin-off",
    PLUGIN_TWICE: error "E113" "plugin-twice",
    BROAD_OPERATIONS: warning "W001" "broad-operations",
    NO_ALLOW: warning "W002" "no-allow",
    BROAD_PATHS: warning "W003" "broad-paths",
    LIMITS_UNDONE: warning "W010" "limits-undone",
    UNREACHABLE_RULE: warning "W011" "unreachable-rule",
    THRIFT_PASSES: warning "W012" "thrift-passes",
    NEVER_HOLDS: warning "W013" "never-holds",
    NOTHING_ALLOWED: warning "W014" "nothing-allowed",
    UNKNOWN_FIELDS: warning "W015" "unknown-fields",
    PARTS_OF_A_NAME: warning "W016" "parts-of-a-name",
    REGULAR_EXPRESSION: warning "W017" "regular-expression",
    HIDDEN_BY_IDS: warning "W018" "hidden-by-ids",
    NO_SUCH_NAME: warning "W019" "no-such-name",
    PLAIN_SECRET: warning "W020" "plain-secret",
    ALL_APIS: warning "W021" "all-apis",
    UNKNOWN_SCOPE: warning "W022" "unknown-scope",
    SCOPE_LACKS: warning "W023" "scope-lacks",
    COVERED_PATTERN: warning "W030" "covered-pattern",
    UNREACHABLE_ROLE: warning "W031" "unreachable-role",
    GRANT_PAST: warning "W040" "grant-past",
    ALLOW_HTTP: warning "W041" "allow-http",
    OBSERVE: warning "W042" "observe",
    NO_TOKEN_CACHE: warning "W043" "no-token-cache",
    JOINED_GROUPS: warning "W044" "joined-groups",
    STRANGERS: warning "W050" "strangers",
    EVERYBODY: warning "W051" "everybody",
    ANY_PROVIDER: warning "W052" "any-provider",
    LOOSE_DOMAIN: warning "W053" "loose-domain",
    CUT_OFF_BY_CASE: warning "W054" "cut-off-by-case",
    SHARED_AUDIENCE: warning "W055" "shared-audience",
    LITERAL_STAR: warning "W056" "literal-star",
    ORG_SERVER: warning "W057" "okta-org-server",
    ALGORITHM: warning "W058" "algorithm-not-taken",
    PUBLIC_URL: warning "W059" "public-url",
    SHARED_SECRET: warning "W060" "shared-secret-in-filter",
    FEED_NOT_READ: warning "W061" "feed-not-read",
    FEED_OF_ANOTHER: warning "W062" "feed-of-another",
    SUBJECTS_OF_EVENTS: warning "W063" "subjects-of-events",
    FEED_SECRET: warning "W064" "feed-secret",
    GROUP_NAME: warning "W065" "entra-group-name",
    BAD_MARKER: warning "W090" "bad-marker",
    UNUSED_MARKER: warning "W091" "unused-marker",
    GUARD_NOT_LAST: warning "W101" "guard-not-last",
    GUARD_AMONG_PLUGINS: warning "W102" "guard-among-plugins",
    RETRIES: warning "W103" "retries",
    STRIPPED_PATH: warning "W104" "stripped-path",
    ANSWERS: warning "W105" "answers-before-decision",
    SMUGGLING: warning "W106" "request-smuggling",
    NO_GUARD: warning "W107" "no-guard",
    OPEN_ROUTE: warning "W108" "open-route",
    SECOND_TWICE: warning "W109" "second-plugin-twice",
    SETTING: warning "W110" "kong-setting",
}

/// The kind of this code.
pub(crate) fn named(code: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.code == code)
}
