# The engine without stores: it needs a Redis (REDIS_URL) and a PostgreSQL (DATABASE_URL).
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The pinned Node binaries are optional dependencies; the image has its own.
RUN npm ci --omit=dev --omit=optional --ignore-scripts && npm cache clean --force

FROM node:24-slim
ENV NODE_ENV=production FLASHDROP_HOST=0.0.0.0 FLASHDROP_PORT=8080
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY lua ./lua
COPY sql ./sql
COPY src ./src
COPY scripts ./scripts
# The image holds the code compiled, as the container's file system may be read-only. Node keeps it by
# user and V8 flags; --wasm-tiering-budget is the one of scripts/start.sh.
ENV NODE_COMPILE_CACHE=/app/compiled
RUN install -d -o node compiled
USER node
RUN node --wasm-tiering-budget=130000000 --input-type=module -e \
  "for (const file of ['connections', 'wiring', 'background', 'api']) await import('./src/engine/' + file + '.ts')"
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.FLASHDROP_PORT}/livez`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1, so that SIGTERM reaches the engine, which drains.
CMD ["node", "--wasm-tiering-budget=130000000", "src/main.ts"]
