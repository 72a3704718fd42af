-- Written by `make schema` from the types in src/config/raw.rs.

local has_json = true


-- A secret has three forms, of which one is given.
local function secret(description)
  return {
    type = "record",
    required = false,
    description = description,
    fields = {
      { value = { type = "string", referenceable = true, encrypted = true, description = "The secret itself, or a vault reference." } },
      { env = { type = "string", description = "The name of a variable in the environment of the process that started Kong." } },
      { shared = { type = "string", description = "A key of `kong.ctx.shared`, where a plugin before this one puts the secret." } },
    },
    entity_checks = { { only_one_of = { "value", "env", "shared" } } },
  }
end


-- A plain string in a secret's place is the secret itself, if Kong can be told so.
local function plain(name)
  return has_json and {
    [name] = {
      type = "json",
      json_schema = { inline = { type = { "string", "object", "null" } } },
      func = function(value)
        return { [name] = type(value) == "string" and { value = value } or value }
      end,
    },
  } or nil
end


-- A value of several types; before Kong 3.5 of one, the most usual.
local function json(description, schema, usual)
  local field = has_json and { type = "json", json_schema = { inline = schema } } or usual
  field.description = description
  return field
end


local schema = {
  name = "databricks-kong",
  fields = {
    { config = {
      type = "record",
      required = false,
      description = "The configuration of one databricks_kong entry.",
      fields = {
        { mode = {
          type = "string",
          description = "`enforce` (default), `observe` or `guard`.",
          one_of = { "enforce", "observe", "guard" },
        } },
        { workspace = {
          type = "record",
          required = false,
          description = "The Databricks workspace behind the route. Required unless `mode` is `guard`.",
          fields = {
            { url = {
              type = "string",
              description = "The workspace's url: https, no path.",
              required = true,
            } },
            { id = json("The numeric workspace (org) id; sent as `X-Databricks-Org-Id`.", { ["anyOf"] = { { ["minimum"] = 0, ["pattern"] = "^[0-9]{1,20}$", ["type"] = { "string", "integer" } }, { ["type"] = "null" } } }, { type = "string" }) },
            { account_id = {
              type = "string",
              description = "The Databricks account's id, shown to clients.",
            } },
            { cloud = {
              type = "string",
              description = "The cloud that the workspace runs in, shown to clients.",
              one_of = { "aws", "azure", "gcp" },
            } },
            { public_url = {
              type = "string",
              description = "How clients reach this gateway; may end in a path prefix that the route strips.",
            } },
            { token_url = {
              type = "string",
              description = "The token endpoint. Default: `<url>/oidc/v1/token`.",
            } },
            { upstream = {
              type = "string",
              description = "The cluster of the token endpoint, on hosts that dispatch by cluster name (Envoy).",
            } },
          },
        } },
        { identity_providers = {
          type = "array",
          description = "The identity providers whose tokens are accepted; at least one unless `mode` is `guard`.",
          elements = {
            type = "record",
            required = false,
            description = "An identity provider whose tokens are accepted.",
            fields = {
              { name = {
                type = "string",
                description = "The name shown in audit records.",
                required = true,
              } },
              { issuer = {
                type = "string",
                description = "Compared byte for byte with the token's `iss`.",
                required = true,
              } },
              { audiences = {
                type = "array",
                description = "The accepted audiences; a token must have one of them in `aud`.",
                elements = {
                  type = "string",
                },
              } },
              { jwks_url = {
                type = "string",
                description = "Where the provider's keys are. Default: `jwks_uri` of `<issuer>/.well-known/openid-configuration`.",
              } },
              { upstream = {
                type = "string",
                description = "The provider's cluster, on hosts that dispatch by cluster name (Envoy).",
              } },
              { algorithms = {
                type = "array",
                description = "The accepted signature algorithms: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA. Default RS256 and ES256.",
                elements = {
                  type = "string",
                },
              } },
              { clock_skew = {
                type = "integer",
                description = "Seconds that the provider's clock may differ from the gateway's, at most 300. Default 30.",
                between = { 0, 300 },
              } },
              { keys_max_stale = {
                type = "integer",
                description = "Seconds that known keys serve, once they should have been refreshed, while the provider is down. Default 86400.",
                between = { 0, 9007199254740991 },
              } },
              { max_lifetime = {
                type = "integer",
                description = "Refuses tokens whose `exp` - `iat` is longer than this many seconds, and tokens without `iat`.",
                between = { 0, 9007199254740991 },
              } },
              { claims = {
                type = "record",
                required = false,
                description = "Where the caller's attributes stand in the token.",
                fields = {
                  { subject = {
                    type = "string",
                    description = "The caller's identity. Default `sub`.",
                  } },
                  { groups = {
                    type = "string",
                    description = "The caller's groups: a list of strings, or one string, which is one group whatever it contains. Default `groups`.",
                  } },
                  { groups_separator = {
                    type = "string",
                    description = "One character, at which one string is several groups: a blank for a claim like `scope`.",
                  } },
                  { client = {
                    type = "string",
                    description = "The client that the token was issued to. Default: the first present of azp, client_id, cid, appid.",
                  } },
                },
              } },
              { require = json("Further claims, each with the value or the list of values that it must have one of.", { ["anyOf"] = { { ["additionalProperties"] = {  }, ["type"] = { "object" } }, { ["type"] = "null" } } }, { type = "map", keys = { type = "string" }, values = { type = "string" } }) },
              { introspection = {
                type = "record",
                required = false,
                description = "Asks the provider whether a token is active (RFC 7662).",
                fields = {
                  { url = {
                    type = "string",
                    description = "The introspection endpoint.",
                    required = true,
                  } },
                  { client_id = {
                    type = "string",
                    description = "The gateway's client id at the provider.",
                    required = true,
                  } },
                  { client_secret = secret("Its secret.") },
                  { upstream = {
                    type = "string",
                    description = "The endpoint's cluster, on hosts that dispatch by cluster name (Envoy). Default: the provider's `upstream`.",
                  } },
                  { when = {
                    type = "string",
                    description = "`opaque` (default) or `always`.",
                    one_of = { "opaque", "always" },
                  } },
                  { cache = {
                    type = "integer",
                    description = "Seconds that a positive answer is kept, never past `exp`. Default 30.",
                    between = { 0, 3600 },
                  } },
                },
                shorthand_fields = { plain("client_secret") },
              } },
              { login = {
                type = "record",
                required = false,
                description = "Signs people in at this provider; at most one provider may have it. The provider must be discoverable by its `issuer`.",
                fields = {
                  { client_id = {
                    type = "string",
                    description = "The gateway's client id at the provider, in the place of the one that clients bring.",
                    required = true,
                  } },
                  { scope = {
                    type = "string",
                    description = "The scopes to ask for, separated by blanks, in the place of those that clients ask for.",
                    required = true,
                  } },
                  { client_secret = secret("The client's secret, where it is a confidential one; sent as HTTP Basic authentication.") },
                },
                shorthand_fields = { plain("client_secret") },
              } },
              { revocation = {
                type = "record",
                required = false,
                description = "A feed of revoked identities.",
                fields = {
                  { url = {
                    type = "string",
                    description = "Where the feed is.",
                    required = true,
                  } },
                  { authorization = secret("What is sent to it as `Authorization: Bearer`.") },
                  { upstream = {
                    type = "string",
                    description = "The feed's cluster, on hosts that dispatch by cluster name (Envoy). Default: host and port of `url`.",
                  } },
                  { refresh = {
                    type = "integer",
                    description = "Seconds after which the feed is read again: a cut-off counts that much later at most. Default 15.",
                    between = { 1, 3600 },
                  } },
                  { max_stale = {
                    type = "integer",
                    description = "Requests are refused once the last good answer is older than this many seconds; no less than `refresh`. Default 60.",
                    between = { 1, 86400 },
                  } },
                },
                shorthand_fields = { plain("authorization") },
              } },
            },
          },
        } },
        { roles = {
          type = "array",
          description = "Which callers get which Databricks credential, and what they may do; ordered, at least one unless `mode` is `guard`.",
          elements = {
            type = "record",
            required = false,
            description = "Maps callers to a Databricks credential and to what they may do.",
            fields = {
              { match = {
                type = "record",
                required = false,
                description = "Whom the role is for: every key given must hold; within a key any value will do.",
                fields = {
                  { groups = {
                    type = "array",
                    description = "Patterns of which one of the caller's groups must match one.",
                    elements = {
                      type = "string",
                    },
                  } },
                  { identity_providers = {
                    type = "array",
                    description = "Names of identity providers, one of which must have issued the token.",
                    elements = {
                      type = "string",
                    },
                  } },
                  { subjects = {
                    type = "array",
                    description = "Patterns of which the caller's subject must match one.",
                    elements = {
                      type = "string",
                    },
                  } },
                  { clients = {
                    type = "array",
                    description = "Patterns of which the token's client must match one.",
                    elements = {
                      type = "string",
                    },
                  } },
                  { claims = json("Claims (names or JSON pointers) with the values of which each must have one.", { ["anyOf"] = { { ["additionalProperties"] = { ["items"] = {  }, ["type"] = "array" }, ["type"] = { "object" } }, { ["type"] = "null" } } }, { type = "map", keys = { type = "string" }, values = { type = "array", elements = { type = "string" } } }) },
                },
              } },
              { name = {
                type = "string",
                description = "The role's name, unique, shown in audit records.",
                required = true,
              } },
              { valid = {
                type = "record",
                required = false,
                description = "The time within which the role is granted.",
                fields = {
                  { from = {
                    type = "string",
                    description = "From this point on, e.g. 2026-11-01T00:00:00Z.",
                  } },
                  { ["until"] = {
                    type = "string",
                    description = "Until just before this point.",
                  } },
                },
              } },
              { grant = {
                type = "record",
                required = false,
                description = "Why the role is granted; copied to audit records.",
                fields = {
                  { approved_by = {
                    type = "string",
                    description = "Who approved it.",
                  } },
                  { ticket = {
                    type = "string",
                    description = "The ticket that asks for it.",
                  } },
                  { break_glass = {
                    type = "boolean",
                    description = "Whether it is an emergency access. Default false.",
                  } },
                },
              } },
              { credential = {
                type = "record",
                required = false,
                description = "What replaces the caller's token.",
                fields = {
                  { type = {
                    type = "string",
                    description = "Which of the credentials this is; it says which other keys there are.",
                    required = true,
                    one_of = { "user_federation", "service_principal_federation", "service_principal_secret", "gateway_assertion", "entra_on_behalf_of", "passthrough", "none" },
                  } },
                  { scope = json("`all-apis` (default), a list of scopes, or `minimal`.", { ["anyOf"] = { { ["anyOf"] = { { ["type"] = "string" }, { ["items"] = { ["type"] = "string" }, ["type"] = "array" } } }, { ["type"] = "null" } } }, { type = "array", elements = { type = "string" } }) },
                  { assume_group = json("The numeric id of the group whose permissions the token carries.", { ["anyOf"] = { { ["minimum"] = 0, ["pattern"] = "^[0-9]{1,20}$", ["type"] = { "string", "integer" } }, { ["type"] = "null" } } }, { type = "string" }) },
                  { client_id = {
                    type = "string",
                    description = "The service principal's application id.",
                  } },
                  { client_secret = secret("Its OAuth secret.") },
                  { issuer = {
                    type = "string",
                    description = "The assertion's `iss`.",
                  } },
                  { audience = {
                    type = "string",
                    description = "Its `aud`.",
                  } },
                  { subject = {
                    type = "string",
                    description = "Its `sub`.",
                  } },
                  { key = secret("The signing key: PEM, PKCS#8, on P-256.") },
                  { kid = {
                    type = "string",
                    description = "The key's id in the assertion's header. Default: the key's thumbprint (RFC 7638).",
                  } },
                  { tenant_id = {
                    type = "string",
                    description = "The Entra tenant: its id, or one of its domains.",
                  } },
                  { authority = {
                    type = "string",
                    description = "Where tokens come from. Default https://login.microsoftonline.com.",
                  } },
                  { upstream = {
                    type = "string",
                    description = "The authority's cluster, on hosts that dispatch by cluster name (Envoy).",
                  } },
                },
                shorthand_fields = { plain("client_secret"), plain("key") },
              } },
              { allow = {
                type = "array",
                description = "What the role may do. Default: every operation that is not sensitive.",
                elements = {
                  type = "record",
                  required = false,
                  description = "What a role may or may not do.",
                  fields = {
                    { operations = {
                      type = "array",
                      description = "Databricks operations as the Python SDK names them, e.g. `jobs.run_now`; `*` matches any run of characters.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { resources = {
                      type = "map",
                      description = "Resource types with the ids, or patterns of ids, that a request must carry. `${subject}` and `${claim:NAME}` stand for the caller's own values.",
                      keys = { type = "string" },
                      values = {
                        type = "array",
                        elements = {
                          type = "string",
                        },
                      },
                    } },
                    { lookup = {
                      type = "boolean",
                      description = "Whether a run's job is looked up first. Default false.",
                    } },
                    { sql = {
                      type = "array",
                      description = "The classes of SQL statements meant.",
                      elements = {
                        type = "string",
                        description = "A class of SQL statements.",
                        one_of = { "select", "dml", "ddl", "grant", "other" },
                      },
                    } },
                    { paths = {
                      type = "array",
                      description = "Requests that the catalogue does not know: `METHOD /path/*/more/**`.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { permit = {
                      type = "array",
                      description = "Features of a request's body that the rule lets pass.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { scope = json("The OAuth scope to ask for, where the role's credential says `minimal`.", { ["anyOf"] = { { ["anyOf"] = { { ["type"] = "string" }, { ["items"] = { ["type"] = "string" }, ["type"] = "array" } } }, { ["type"] = "null" } } }, { type = "array", elements = { type = "string" } }) },
                  },
                },
              } },
              { deny = {
                type = "array",
                description = "What the role may not do, whatever `allow` says.",
                elements = {
                  type = "record",
                  required = false,
                  description = "What a role may or may not do.",
                  fields = {
                    { operations = {
                      type = "array",
                      description = "Databricks operations as the Python SDK names them, e.g. `jobs.run_now`; `*` matches any run of characters.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { resources = {
                      type = "map",
                      description = "Resource types with the ids, or patterns of ids, that a request must carry. `${subject}` and `${claim:NAME}` stand for the caller's own values.",
                      keys = { type = "string" },
                      values = {
                        type = "array",
                        elements = {
                          type = "string",
                        },
                      },
                    } },
                    { lookup = {
                      type = "boolean",
                      description = "Whether a run's job is looked up first. Default false.",
                    } },
                    { sql = {
                      type = "array",
                      description = "The classes of SQL statements meant.",
                      elements = {
                        type = "string",
                        description = "A class of SQL statements.",
                        one_of = { "select", "dml", "ddl", "grant", "other" },
                      },
                    } },
                    { paths = {
                      type = "array",
                      description = "Requests that the catalogue does not know: `METHOD /path/*/more/**`.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { permit = {
                      type = "array",
                      description = "Features of a request's body that the rule lets pass.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { scope = json("The OAuth scope to ask for, where the role's credential says `minimal`.", { ["anyOf"] = { { ["anyOf"] = { { ["type"] = "string" }, { ["items"] = { ["type"] = "string" }, ["type"] = "array" } } }, { ["type"] = "null" } } }, { type = "array", elements = { type = "string" } }) },
                  },
                },
              } },
              { observe = {
                type = "boolean",
                description = "Whether this role's denials are only recorded. It opens nothing that another role or an agent's entry refuses, and gives its own credential only. Default false.",
              } },
            },
          },
        } },
        { agents = {
          type = "array",
          description = "What an AI agent may do at most, whoever it acts for.",
          elements = {
            type = "record",
            required = false,
            description = "An AI agent, and what it may do at most.",
            fields = {
              { match = {
                type = "record",
                required = false,
                description = "By what the agent is known.",
                fields = {
                  { clients = {
                    type = "array",
                    description = "Patterns of the token's client.",
                    elements = {
                      type = "string",
                    },
                  } },
                  { actors = {
                    type = "array",
                    description = "Patterns of the token's actor (`act.sub`).",
                    elements = {
                      type = "string",
                    },
                  } },
                },
              } },
              { name = {
                type = "string",
                description = "The agent's name, shown in audit records.",
                required = true,
              } },
              { allow = {
                type = "array",
                description = "What it may do. Default: every operation that is not sensitive.",
                elements = {
                  type = "record",
                  required = false,
                  description = "What a role may or may not do.",
                  fields = {
                    { operations = {
                      type = "array",
                      description = "Databricks operations as the Python SDK names them, e.g. `jobs.run_now`; `*` matches any run of characters.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { resources = {
                      type = "map",
                      description = "Resource types with the ids, or patterns of ids, that a request must carry. `${subject}` and `${claim:NAME}` stand for the caller's own values.",
                      keys = { type = "string" },
                      values = {
                        type = "array",
                        elements = {
                          type = "string",
                        },
                      },
                    } },
                    { lookup = {
                      type = "boolean",
                      description = "Whether a run's job is looked up first. Default false.",
                    } },
                    { sql = {
                      type = "array",
                      description = "The classes of SQL statements meant.",
                      elements = {
                        type = "string",
                        description = "A class of SQL statements.",
                        one_of = { "select", "dml", "ddl", "grant", "other" },
                      },
                    } },
                    { paths = {
                      type = "array",
                      description = "Requests that the catalogue does not know: `METHOD /path/*/more/**`.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { permit = {
                      type = "array",
                      description = "Features of a request's body that the rule lets pass.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { scope = json("The OAuth scope to ask for, where the role's credential says `minimal`.", { ["anyOf"] = { { ["anyOf"] = { { ["type"] = "string" }, { ["items"] = { ["type"] = "string" }, ["type"] = "array" } } }, { ["type"] = "null" } } }, { type = "array", elements = { type = "string" } }) },
                  },
                },
              } },
              { deny = {
                type = "array",
                description = "What it may not do.",
                elements = {
                  type = "record",
                  required = false,
                  description = "What a role may or may not do.",
                  fields = {
                    { operations = {
                      type = "array",
                      description = "Databricks operations as the Python SDK names them, e.g. `jobs.run_now`; `*` matches any run of characters.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { resources = {
                      type = "map",
                      description = "Resource types with the ids, or patterns of ids, that a request must carry. `${subject}` and `${claim:NAME}` stand for the caller's own values.",
                      keys = { type = "string" },
                      values = {
                        type = "array",
                        elements = {
                          type = "string",
                        },
                      },
                    } },
                    { lookup = {
                      type = "boolean",
                      description = "Whether a run's job is looked up first. Default false.",
                    } },
                    { sql = {
                      type = "array",
                      description = "The classes of SQL statements meant.",
                      elements = {
                        type = "string",
                        description = "A class of SQL statements.",
                        one_of = { "select", "dml", "ddl", "grant", "other" },
                      },
                    } },
                    { paths = {
                      type = "array",
                      description = "Requests that the catalogue does not know: `METHOD /path/*/more/**`.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { permit = {
                      type = "array",
                      description = "Features of a request's body that the rule lets pass.",
                      elements = {
                        type = "string",
                      },
                    } },
                    { scope = json("The OAuth scope to ask for, where the role's credential says `minimal`.", { ["anyOf"] = { { ["anyOf"] = { { ["type"] = "string" }, { ["items"] = { ["type"] = "string" }, ["type"] = "array" } } }, { ["type"] = "null" } } }, { type = "array", elements = { type = "string" } }) },
                  },
                },
              } },
            },
          },
        } },
        { client_certificate = {
          type = "string",
          description = "Whether callers must show a TLS client certificate. Default `off`.",
          one_of = { "off", "bound", "required" },
        } },
        { client_certificate_header = {
          type = "string",
          description = "The header in which a trusted TLS terminator before the gateway hands on the client's certificate, as RFC 9440 says (`Client-Cert`). With it, a certificate of the connection itself counts for nothing; clients must not reach the gateway but through the terminator.",
        } },
        { identity_header = {
          type = "record",
          required = false,
          description = "A signed assertion of the caller for the upstream.",
          fields = {
            { name = {
              type = "string",
              description = "The header's name. Default X-Databricks-Kong-Identity. A client's header of this name never passes.",
            } },
            { key = secret("The signing key: PEM, PKCS#8, on P-256.") },
            { keys = {
              type = "array",
              description = "In place of `key`, several: the first signs, the public halves of all are published.",
              elements = secret("One of them."),
            } },
            { audience = {
              type = "string",
              description = "The assertion's `aud`.",
            } },
            { ttl = {
              type = "integer",
              description = "Its life in seconds. Default 60.",
              between = { 1, 300 },
            } },
          },
          shorthand_fields = { plain("key") },
        } },
        { quota = {
          type = "record",
          required = false,
          description = "How many requests a caller may send; counted after authentication, by each worker for itself.",
          fields = {
            { per = {
              type = "string",
              description = "Whose requests are counted together: `subject`, `role` or `agent`.",
              required = true,
              one_of = { "subject", "role", "agent" },
            } },
            { requests = {
              type = "integer",
              description = "How many. (a name)",
              required = true,
              between = { 1, 1000000 },
            } },
            { window = {
              type = "integer",
              description = "The window in seconds. Default 60.",
              between = { 1, 86400 },
            } },
          },
        } },
        { callouts = {
          type = "record",
          required = false,
          description = "Bounds on requests of the gateway's own to identity providers and token endpoints.",
          fields = {
            { timeout = {
              type = "integer",
              description = "Milliseconds for one try. Default 2000.",
              between = { 1, 60000 },
            } },
            { attempts = {
              type = "integer",
              description = "Tries for one need. Default 2.",
              between = { 1, 5 },
            } },
            { allow_http = {
              type = "boolean",
              description = "Whether plain http is allowed to hosts that are not loopback. Default false.",
            } },
          },
        } },
        { limits = {
          type = "record",
          required = false,
          description = "Bounds on sizes and memory.",
          fields = {
            { token_bytes = {
              type = "integer",
              description = "The longest token that is looked at, in bytes. Default 16384.",
              between = { 256, 65536 },
            } },
            { body_bytes = {
              type = "integer",
              description = "The longest body that is looked at, in bytes; unless it is set, 1000000 of prompts for models and of messages to MCP servers. Default 65536.",
              between = { 1024, 16777216 },
            } },
            { cached_tokens = {
              type = "integer",
              description = "How many Databricks tokens a worker keeps, and how many verified callers. Default 10000.",
              between = { 0, 1000000 },
            } },
          },
        } },
        { audit = {
          type = "record",
          required = false,
          description = "What audit records hold and where they go.",
          fields = {
            { log = {
              type = "boolean",
              description = "Whether each record is also written as a log line. Default true.",
            } },
            { sql_tables = {
              type = "boolean",
              description = "Whether the tables that SQL touches are recorded. Default true.",
            } },
            { subject = {
              type = "string",
              description = "`plain` (default) or `sha256`.",
              one_of = { "plain", "sha256" },
            } },
          },
        } },
      },
    } },
  },
}

return schema
