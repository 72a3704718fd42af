-- Written by `make schema` from src/ffi/interface.rs: what libdatabricks_kong exports, and what it answers.
local interface = { version = "0.1.0", number = 2558874154122841 }

interface.cdef = [[
typedef struct {
  const char *data;
  size_t size;
} dk_bytes;
typedef struct {
  int32_t size;
  const char *data;
} dk_text;
typedef struct {
  dk_text name;
  dk_text value;
} dk_header;
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
typedef struct {
  uint32_t outcome;
  uint32_t shared;
  uint32_t status;
  const dk_bytes *headers;
  size_t headers_count;
  dk_bytes body;
} dk_callout_answer;
typedef struct {
  char *data;
  size_t room;
  size_t size;
} dk_answer;
uint64_t dk_interface(void);
int32_t dk_start(dk_answer *answer);
int32_t dk_again(dk_answer *answer);
int32_t dk_config_check(const char *text, size_t size, uint32_t lacks_environment, dk_answer *answer);
uint64_t dk_config_open(const char *text, size_t size, dk_answer *answer);
void dk_config_close(uint64_t config);
uint64_t dk_request_open(uint64_t config);
void dk_request_close(uint64_t request);
int32_t dk_on_headers(uint64_t request, const dk_head *head, dk_answer *answer);
int32_t dk_on_body(uint64_t request, uint32_t kind, const char *data, size_t size, dk_answer *answer);
int32_t dk_on_callout(uint64_t request, const dk_callout_answer *result, dk_answer *answer);
int32_t dk_on_send(uint64_t request, const dk_head *head, uint32_t kind, const char *data, size_t size, dk_answer *answer);
int32_t dk_on_response(uint64_t request, uint32_t status, const char *reason, size_t size, dk_answer *answer);
int32_t dk_refuse(uint64_t request, uint32_t why, const char *id, size_t size, dk_answer *answer);
int32_t dk_take_counts(dk_answer *answer);
int32_t dk_seal(const char *name, size_t size, uint32_t age, const dk_callout_answer *result, dk_answer *answer);
int32_t dk_on_tick(uint64_t config, dk_answer *answer);
int32_t dk_on_tick_callout(uint64_t config, const dk_callout_answer *result, dk_answer *answer);
]]

-- What a call gives back.
interface.code = {
  grow = -1,
  failed = 0,
  done = 1,
  call = 2,
  await_body = 3,
  allowed = 4,
  reply = 5,
  send = 6,
  nothing = 7,
}

-- Places of the fields of an answer, counted from one.
interface.field = {
  log = 1,
  removals = 2,
  record = 3,
  line = 4,
  decision = 5,
  reason = 6,
  role = 7,
  subject = 8,
  provider = 9,
  operation = 10,
}

interface.call = {
  scheme = 11,
  host = 12,
  port = 13,
  authority = 14,
  path = 15,
  method = 16,
  timeout = 17,
  longest = 18,
  share = 19,
  keep = 20,
  wanted = 21,
  body = 22,
  headers = 23,
}

interface.await_body = {
  longest = 11,
  headers = 12,
}

interface.reply = {
  status = 11,
  body = 12,
  headers = 13,
}

interface.send = {
  listens = 11,
  headers = 12,
}

return interface
