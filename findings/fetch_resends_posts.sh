#!/usr/bin/env bash
# Deno's fetch sends a POST a second time, by itself, after the server read the first one.
#
# Guess: a client may repeat a request on its own only if it is idempotent (RFC 9110, 9.2.2), so a POST whose
# connection ends before the answer is an error of fetch, and the program decides. Node does so.
#
# Seen: Node 20 and Bun 1.4.5 do so. Where the connection is one that was kept from an earlier request, Deno 2.9.6
# sends the POST again on a new connection. The program sees one success; the server has worked twice. What a POST
# must not do twice needs an idempotency token, also where the program itself never tries again.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"

npm init --yes >/dev/null
npm install --no-audit --no-fund --silent deno@2.9.6 bun@1.4.5 --ignore-scripts >/dev/null
deno=$(find node_modules/@deno -type f -name deno | head -n 1)
bun=$(find node_modules/@oven -type f -name bun | head -n 1)
chmod +x "$deno" "$bun"

cat >server.py <<'END'
"""Answers each POST; the first time that it gets "second" it closes the connection instead."""
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

got = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        got.append(body)
        if got.count("second") == 1 and body == "second":
            self.close_connection = True
            return
        answer = str(got.count(body)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
END
cat >post.mjs <<'END'
const post = async (body) => {
  try {
    const answer = await fetch(`http://127.0.0.1:${process.env.PORT}/`, { method: "POST", body });
    return `answered, the server has it ${await answer.text()} times`;
  } catch {
    return "an error of fetch";
  }
};
import process from "node:process";
await post("first");
console.log(await post("second"));
END

outcome() { # command…: what the program sees of a POST whose kept connection ended
    python3 server.py >port &
    server=$!
    until [ -s port ]; do sleep 0.05; done
    PORT=$(cat port) "$@"
    kill "$server"
    rm port
}

failed=0
expect() { # name, expected, command…
    local name=$1 expected=$2 seen
    shift 2
    outcome "$@" >seen
    seen=$(cat seen)
    echo "$name: $seen"
    [ "$seen" = "$expected" ] || { echo "  changed: it was \"$expected\""; failed=1; }
}
expect "Node $(node --version)" "an error of fetch" node post.mjs
expect "$("$deno" --version | head -n 1)" "answered, the server has it 2 times" "$deno" run --allow-all --quiet post.mjs
expect "Bun $("$bun" --version)" "an error of fetch" "$bun" run post.mjs
exit "$failed"
