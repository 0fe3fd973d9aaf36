// Socket.IO with its defaults, but for the transport: WebSocket from the start, no long polling.
import { createServer } from "node:http";
import { Server } from "socket.io";

const server = createServer();
const io = new Server(server, { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  const { room } = socket.handshake.query;
  void socket.join(room);
  socket.on("publish", (data) => io.to(room).emit("message", data));
});

server.listen(0, "127.0.0.1", 4096, () => console.log(JSON.stringify({ port: server.address().port })));
