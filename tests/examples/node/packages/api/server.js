const http = require("http");

const server = http.createServer((request, response) => {
  console.log(`${request.method} ${request.url}`);
  response.end(JSON.stringify({ tea: 3 }));
});
server.listen(process.env.PORT, "127.0.0.1", () => console.log("api is listening"));
process.on("SIGTERM", () => server.close(() => console.log("api has finished")));
