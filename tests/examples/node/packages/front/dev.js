// Stands for a dev server such as Vite: it serves a page, and passes /api on.
const http = require("http");

const server = http.createServer(async (request, response) => {
  const answer = await fetch(process.env.API);
  response.end(`we have ${(await answer.json()).tea} teas\n`);
});
server.listen(process.env.PORT, "127.0.0.1", () => console.log("front is listening"));
process.on("SIGTERM", () => process.exit(0));
