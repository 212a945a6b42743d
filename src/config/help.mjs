// Plain JavaScript: `npm start -- --help` prints this on Node 20, before anything is installed.

/** What `--help` prints. */
export const helpText = `flashdrop: a flash-sale checkout engine

  npm start -- [flags]

  --port PORT     port to listen on (8080)
  --host HOST     address to listen on (127.0.0.1)
  --role ROLE     api, worker or all (all)
  --data FOLDER   folder of the embedded Redis and ledger (./data)
  --api-processes N
                  processes that serve on the port (one for each core)
  --fresh         empty that folder first
  --help          this text
  --version       the version

Settings come from the environment or from a file .env; .env.example lists them.`;
