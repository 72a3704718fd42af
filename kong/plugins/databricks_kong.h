/* Written by `make schema` from src/ffi/interface.rs and src/ffi/exports.rs: the interface of libdatabricks_kong 0.1.0. */
#ifndef DATABRICKS_KONG_H
#define DATABRICKS_KONG_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the caller's, for the time of one call. `data` may be null where `size` is zero.
 */
typedef struct {
  const char *data;
  size_t size;
} dk_bytes;

/* As `dk_bytes`, in the form of nginx's Lua module (`ngx_http_lua_ffi_str_t`).
 */
typedef struct {
  int32_t size;
  const char *data;
} dk_text;

/* A header as nginx's Lua module hands it over (`ngx_http_lua_ffi_table_elt_t`), so that Lua need not copy it. headers.lua holds the two
 * declarations against each other.
 */
typedef struct {
  dk_text name;
  dk_text value;
} dk_header;

/* The head of a request.
 */
typedef struct {
  dk_bytes id;
  dk_bytes method;
  dk_bytes target;
  dk_bytes scheme;
  const dk_header *headers;
  size_t headers_count;
  const dk_bytes *shared;
  size_t shared_count;
  dk_bytes certificate;
  uint32_t has_body;
  uint32_t has_more_headers;
} dk_head;

/* What became of a callout.
 */
typedef struct {
  uint32_t outcome;
  uint32_t shared;
  uint32_t status;
  const dk_bytes *headers;
  size_t headers_count;
  dk_bytes body;
} dk_callout_answer;

/* The caller's memory for one answer: a list of byte strings. First their number, then for each where it ends (counted from the end
 * of this head), all with 32 bits in the machine's order; then their bytes.
 */
typedef struct {
  char *data;
  size_t room;
  size_t size;
} dk_answer;

/* The number of the interface. The Lua files hold theirs against it before they call anything else.
 */
uint64_t dk_interface(void);

/* To be called once in each process, before it forks workers: remembers the environment, which nginx takes from its workers, for
 * secrets of the form `{env: NAME}`, and makes the key by which workers hand each other tokens. Answers the version, then for each counter
 * its name and that of the gauge that holds when it counted last, which is empty where there is none.
 */
int32_t dk_start(dk_answer *answer);

/* Gives the answer that was too long for the memory of the call before, which answered `grow`.
 */
int32_t dk_again(dk_answer *answer);

/* Checks a configuration. Answers `done`, or `nothing` and all errors, a JSON pointer and a text each. Where `lacks_environment` is not
 * zero, secrets are read in another process than this, and every `{env: NAME}` counts as set.
 */
int32_t dk_config_check(const char *text, size_t size, uint32_t lacks_environment, dk_answer *answer);

/* Takes up a configuration. Answers its handle and the names of `kong.ctx.shared` that its secrets need; or zero and all errors, as
 * `dk_config_check`.
 */
uint64_t dk_config_open(const char *text, size_t size, dk_answer *answer);

/* Ends a configuration. Requests that it decides go on with it.
 */
void dk_config_close(uint64_t config);

/* Begins a request under a configuration; zero if that cannot be.
 */
uint64_t dk_request_open(uint64_t config);

/* Ends a request.
 */
void dk_request_close(uint64_t request);

/* A request's headers arrived.
 */
int32_t dk_on_headers(uint64_t request, const dk_head *head, dk_answer *answer);

/* The body that was asked for arrived: `kind` 0 if `data` is all of it, 1 if it is longer than was allowed, 2 if it cannot be read.
 */
int32_t dk_on_body(uint64_t request, uint32_t kind, const char *data, size_t size, dk_answer *answer);

/* The callout that was asked for was answered, or was not.
 */
int32_t dk_on_callout(uint64_t request, const dk_callout_answer *result, dk_answer *answer);

/* An allowed request is about to be sent as `head` says, whatever others did to it meanwhile, with the body that was read for the
 * decision as it is now (`kind` as in `dk_on_body`; 2 if none was asked for). Answers `send` with the credential, or `reply`.
 */
int32_t dk_on_send(uint64_t request, const dk_head *head, uint32_t kind, const char *data, size_t size, dk_answer *answer);

/* The workspace answered with this status and this `x-databricks-reason-phrase` (none if `size` is zero). Answers `done` and the name
 * (a callout's `keep`) under which the other workers may have the token that it refused; or `nothing`.
 */
int32_t dk_on_response(uint64_t request, uint32_t status, const char *reason, size_t size, dk_answer *answer);

/* The request is refused after all: `why` 0 for a failure of the gateway (500 `INTERNAL`), 1 for an invalid configuration. `request` may
 * be zero; `id` is the host's own name of it.
 */
int32_t dk_refuse(uint64_t request, uint32_t why, const char *id, size_t size, dk_answer *answer);

/* What was counted since the last call: the place of a counter in what `dk_start` answered (the first one's is 1), and how often, by
 * turns. Answers `done`.
 */
int32_t dk_take_counts(dk_answer *answer);

/* Seals the answer to a callout for the other workers of this node: under the callout's `keep`, `age` milliseconds after it was sent.
 * Answers `done`, what to hand over, and for how many seconds it is of use; or `nothing`.
 */
int32_t dk_seal(const char *name, size_t size, uint32_t age, const dk_callout_answer *result, dk_answer *answer);

/* A second has passed. Answers `call`, or `nothing`.
 */
int32_t dk_on_tick(uint64_t config, dk_answer *answer);

/* The callout of a tick was answered, or was not. Answers as `dk_on_tick`.
 */
int32_t dk_on_tick_callout(uint64_t config, const dk_callout_answer *result, dk_answer *answer);

#endif
