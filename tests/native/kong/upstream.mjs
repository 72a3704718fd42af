// A small upstream: WebSocket over HTTP/1.1 on one port, gRPC over HTTP/2 in cleartext on another. Prints their ports as JSON, then a line of
// JSON for each request that reaches it; ends with its input.
//
// A WebSocket gets back the bytes that it sends, behind "echo ". A gRPC call gets back its message and grpc-status 0.
import http from "node:http";
import http2 from "node:http2";

const say = (kind, request) =>
  console.log(JSON.stringify({ kind, method: request.method, target: request.url, headers: request.headers }));

const sockets = http.createServer((request, response) => {
  say("http", request);
  response.end("{}");
});
sockets.on("upgrade", (request, socket, head) => {
  say("websocket", request);
  socket.on("error", () => {});
  socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  const echo = (bytes) => socket.write(Buffer.concat([Buffer.from("echo "), bytes]));
  if (head.length > 0) echo(head);
  socket.on("data", echo);
  socket.on("end", () => socket.end());
});

const calls = http2.createServer((request, response) => {
  say("grpc", request);
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    response.writeHead(200, { "content-type": "application/grpc" });
    response.addTrailers({ "grpc-status": "0" });
    response.end(Buffer.concat(chunks));
  });
});

sockets.listen(0, "127.0.0.1", () =>
  calls.listen(0, "127.0.0.1", () =>
    console.log(JSON.stringify({ websocket: sockets.address().port, grpc: calls.address().port })),
  ),
);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
