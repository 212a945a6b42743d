create table merchants (
  id text primary key,
  name text not null,
  created_at bigint not null
);

-- The secret is 256 random bits, so a plain SHA-256 of it cannot be searched backwards.
create table api_keys (
  id text primary key,
  merchant_id text not null references merchants,
  secret_sha256 text not null check (length(secret_sha256) = 64),
  created_at bigint not null,
  revoked_at bigint
);
