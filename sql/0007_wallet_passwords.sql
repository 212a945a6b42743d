-- A buyer's payment password, six digits, and the tries to guess it.
create table wallet_passwords (
  buyer text collate "C" primary key,
  -- scrypt$log2 of N$r$p$salt$digest: the cost stands with each hash, so that it can be raised.
  hash text not null,
  -- Comparisons begun since the last right one; taken before anything is compared.
  tries integer not null default 0 check (tries >= 0),
  -- Set by the last try there is: from then on nothing is compared before this instant, ms.
  locked_until bigint,
  set_at bigint not null
);

-- An order above this many minor units is paid from the wallet with the payment password only.
alter table drops add column password_above bigint check (password_above >= 0);
