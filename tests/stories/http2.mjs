// One request over HTTP/2, as its description on standard input says; prints the answer as JSON.
//
//   {"url": "http://127.0.0.1:8000", "ca": "…", "method": "POST", "path": "/x", "headers": [["a", "b"]],
//    "pieces": ["…base64…"], "trailers": {"a": "b"}, "pause_ms": 50}
//
// Cleartext is HTTP/2 with prior knowledge. No content-length is sent but one that is among the headers. There is a pause before each piece and
// before trailers.
import fs from "node:fs";
import http2 from "node:http2";
import { setTimeout as pause } from "node:timers/promises";

const asked = JSON.parse(fs.readFileSync(0, "utf8"));
const session = http2.connect(asked.url, asked.ca ? { ca: fs.readFileSync(asked.ca) } : {});
const fail = (error) => {
  console.log(JSON.stringify({ error: String(error) }));
  process.exit(0);
};
session.on("error", fail);

const headers = { ":method": asked.method, ":path": asked.path };
for (const [name, value] of asked.headers) headers[name.toLowerCase()] = value;
const pieces = asked.pieces.map((piece) => Buffer.from(piece, "base64"));
const bodiless = pieces.length === 0 && !asked.trailers;
const request = session.request(headers, { endStream: bodiless, waitForTrailers: Boolean(asked.trailers) });
request.on("error", fail);
request.on("wantTrailers", async () => {
  await pause(asked.pause_ms);
  request.sendTrailers(asked.trailers);
});

const answer = { status: 0, headers: [], body: "" };
request.on("response", (fields) => {
  answer.status = fields[":status"];
  answer.headers = Object.entries(fields)
    .filter(([name]) => !name.startsWith(":"))
    .flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]));
});
const chunks = [];
request.on("data", (chunk) => chunks.push(chunk));
request.on("end", () => {
  answer.body = Buffer.concat(chunks).toString("base64");
  console.log(JSON.stringify(answer));
  process.exit(0);
});

for (const piece of pieces) {
  await pause(asked.pause_ms);
  request.write(piece);
}
if (!bodiless) request.end();
