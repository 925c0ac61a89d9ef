-- The audit trail in PostgreSQL 14 or newer: one row a record, the line as it was written, and columns made of it.
--
-- To be applied by an administrator of the database; it may be applied again. Nobody logs in as one of these roles: give
-- them to whoever does.
--   CREATE ROLE writing LOGIN PASSWORD '...' IN ROLE portcullis_writer;   -- the sink: it may call append(), nothing else
--   CREATE ROLE reading LOGIN PASSWORD '...' IN ROLE portcullis_reader;   -- trail verify, tail and query
-- portcullis_owner owns everything, and drops what is no longer kept:
--   SELECT portcullis.forget('allow', now() - interval '90 days');

BEGIN;
SET LOCAL client_min_messages = warning;
-- Nothing of another schema, where others may create, gets into what is made here.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
  -- Any other encoding lacks characters that a line may hold; the sink would wait for ever before the first of them.
  IF getdatabaseencoding() <> 'UTF8' THEN
    RAISE EXCEPTION 'the trail needs a database in UTF8, and this one is in %', getdatabaseencoding();
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'portcullis_owner') THEN CREATE ROLE portcullis_owner NOLOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'portcullis_writer') THEN CREATE ROLE portcullis_writer NOLOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'portcullis_reader') THEN CREATE ROLE portcullis_reader NOLOGIN; END IF;
  IF NOT pg_has_role(current_user, 'portcullis_owner', 'MEMBER') THEN GRANT portcullis_owner TO CURRENT_USER; END IF;
END $$;

CREATE SCHEMA IF NOT EXISTS portcullis AUTHORIZATION portcullis_owner;
SET LOCAL ROLE portcullis_owner;
REVOKE ALL ON SCHEMA portcullis FROM PUBLIC;
GRANT USAGE ON SCHEMA portcullis TO portcullis_writer, portcullis_reader;

-- What runs as the owner must never see a type or a function of the caller: a temporary schema comes before all others
-- for types, and plpgsql keeps a function as it was compiled when a session first called it. So each has a path of its
-- own, names what it uses, and nobody but the owner may call it; append() alone is the writer's.

-- The fields of a line. jsonb cannot hold the character NUL, which anybody may put into a name: here it reads U+FFFD, in
-- the line it stays as it is.
CREATE OR REPLACE FUNCTION portcullis.fields(line text) RETURNS pg_catalog.jsonb
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_catalog.replace(line, '\u0000', '\ufffd')::pg_catalog.jsonb;

-- The time of a line. PostgreSQL calls a cast from text to timestamptz dependent on the session's settings, and takes it in
-- no generated column; what a line says, RFC 3339 in UTC, reads the same under all of them. (Not in SQL: what cannot be
-- inlined there costs more than all the rest.)
CREATE OR REPLACE FUNCTION portcullis.moment(line text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (portcullis.fields(line) ->> 'time')::pg_catalog.timestamptz;
END $$;

-- The policies that found something, each once.
CREATE OR REPLACE FUNCTION portcullis.policies(line text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found_by pg_catalog.jsonb := pg_catalog.jsonb_path_query_array(portcullis.fields(line), '$.findings[*].policy');
BEGIN
  IF found_by = '[]' THEN RETURN '{}'; END IF;
  RETURN ARRAY(SELECT DISTINCT policy FROM pg_catalog.jsonb_array_elements_text(found_by) AS policy ORDER BY policy);
END $$;

-- A partition's key can be no generated column. So `class`, which a line does not say, and `time` are given; that `time`
-- is the line's own is checked.
CREATE TABLE IF NOT EXISTS portcullis.trail (
  class         text COLLATE "C" NOT NULL,
  time          timestamptz NOT NULL CHECK (time = portcullis.moment(line)),
  taken         timestamptz NOT NULL DEFAULT clock_timestamp(),
  line          text COLLATE "C" NOT NULL,
  stream        text COLLATE "C" NOT NULL GENERATED ALWAYS AS (portcullis.fields(line) ->> 'stream') STORED,
  seq           bigint NOT NULL GENERATED ALWAYS AS ((portcullis.fields(line) ->> 'seq')::bigint) STORED,
  record        text NOT NULL GENERATED ALWAYS AS (coalesce(portcullis.fields(line) ->> 'record', 'decision')) STORED,
  cluster       text GENERATED ALWAYS AS (portcullis.fields(line) ->> 'cluster') STORED,
  endpoint      text GENERATED ALWAYS AS (portcullis.fields(line) ->> 'endpoint') STORED,
  caller        text GENERATED ALWAYS AS (portcullis.fields(line) ->> 'caller') STORED,
  uid           text GENERATED ALWAYS AS (portcullis.fields(line) ->> 'uid') STORED,
  operation     text GENERATED ALWAYS AS (portcullis.fields(line) ->> 'operation') STORED,
  api_group     text GENERATED ALWAYS AS (portcullis.fields(line) #>> '{kind,group}') STORED,
  kind          text GENERATED ALWAYS AS (portcullis.fields(line) #>> '{kind,kind}') STORED,
  resource      text GENERATED ALWAYS AS (portcullis.fields(line) #>> '{resource,resource}') STORED,
  subresource   text GENERATED ALWAYS AS (portcullis.fields(line) #>> '{resource,subresource}') STORED,
  -- It is indexed, and what is indexed must be short. No namespace of a cluster is longer.
  namespace     text COLLATE "C" GENERATED ALWAYS AS (left(portcullis.fields(line) ->> 'namespace', 253)) STORED,
  name          text GENERATED ALWAYS AS (portcullis.fields(line) ->> 'name') STORED,
  user_name     text GENERATED ALWAYS AS (portcullis.fields(line) #>> '{user,name}') STORED,
  dry_run       boolean GENERATED ALWAYS AS ((portcullis.fields(line) ->> 'dryRun')::boolean) STORED,
  decision      text GENERATED ALWAYS AS (portcullis.fields(line) ->> 'decision') STORED,
  allowed       boolean GENERATED ALWAYS AS ((portcullis.fields(line) ->> 'allowed')::boolean) STORED,
  policies      text[] NOT NULL GENERATED ALWAYS AS (portcullis.policies(line)) STORED,
  configuration text GENERATED ALWAYS AS (portcullis.fields(line) ->> 'configuration') STORED,
  PRIMARY KEY (stream, seq, class, time)
) PARTITION BY LIST (class);

CREATE INDEX IF NOT EXISTS trail_time ON portcullis.trail (time);
CREATE INDEX IF NOT EXISTS trail_namespace ON portcullis.trail (namespace, time);

CREATE TABLE IF NOT EXISTS portcullis.trail_allow PARTITION OF portcullis.trail FOR VALUES IN ('allow') PARTITION BY RANGE (time);
CREATE TABLE IF NOT EXISTS portcullis.trail_refused PARTITION OF portcullis.trail FOR VALUES IN ('refused') PARTITION BY RANGE (time);
CREATE TABLE IF NOT EXISTS portcullis.trail_access PARTITION OF portcullis.trail FOR VALUES IN ('access') PARTITION BY RANGE (time);

-- Records that came although another of their number was there already: somebody altered that one, or the spool is a copy
-- of an older one. Neither is written over.
CREATE TABLE IF NOT EXISTS portcullis.conflicts (
  class  text NOT NULL,
  taken  timestamptz NOT NULL DEFAULT clock_timestamp(),
  line   text COLLATE "C" NOT NULL,
  stream text COLLATE "C" NOT NULL GENERATED ALWAYS AS (portcullis.fields(line) ->> 'stream') STORED,
  seq    bigint NOT NULL GENERATED ALWAYS AS ((portcullis.fields(line) ->> 'seq')::bigint) STORED,
  hash   text NOT NULL GENERATED ALWAYS AS (portcullis.fields(line) ->> 'hash') STORED,
  PRIMARY KEY (stream, seq, hash)
);

-- How far each stream was forgotten.
CREATE TABLE IF NOT EXISTS portcullis.forgotten (
  class  text NOT NULL,
  stream text COLLATE "C" NOT NULL,
  next   bigint NOT NULL,
  taken  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Makes the partition for a moment: a day of `allow`, which is the bulk and kept for a shorter time, a month of the others.
-- It is made beside the table and then attached, because that waits for no reader and lets none wait. The bounds are written
-- and read in one way, whatever the session's.
CREATE OR REPLACE FUNCTION portcullis.partition(of_class text, at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
  unit text := CASE of_class WHEN 'allow' THEN 'day' ELSE 'month' END;
  low  timestamp := date_trunc(unit, at AT TIME ZONE 'UTC');
  high timestamp := low + ('1 ' || unit)::interval;
  part text := format('trail_%s_%s', of_class, to_char(low, CASE unit WHEN 'day' THEN 'YYYYMMDD' ELSE 'YYYYMM' END));
BEGIN
  IF to_regclass(format('portcullis.%I', part)) IS NOT NULL THEN RETURN; END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('portcullis.partition', 0));
  IF to_regclass(format('portcullis.%I', part)) IS NOT NULL THEN RETURN; END IF;
  EXECUTE format('CREATE TABLE portcullis.%I (LIKE portcullis.trail INCLUDING ALL)', part);
  -- With a column of its type somebody else could keep it from being dropped.
  EXECUTE format('REVOKE ALL ON TYPE portcullis.%I FROM PUBLIC', part);
  EXECUTE format('ALTER TABLE portcullis.%I ATTACH PARTITION portcullis.%I FOR VALUES FROM (%L) TO (%L)',
    'trail_' || of_class, part, low AT TIME ZONE 'UTC', high AT TIME ZONE 'UTC');
END $$;

-- Takes records of one stream: each once, however often it comes. Returns those of which another one was there already.
CREATE OR REPLACE FUNCTION portcullis.append(of_class text, lines text[]) RETURNS TABLE (stream text, seq bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  id    text;
  last  text;
  low   bigint;
  high  bigint;
  whole bigint;
  added bigint;
BEGIN
  SELECT min(fields ->> 'stream'), max(fields ->> 'stream'), min((fields ->> 'seq')::bigint), max((fields ->> 'seq')::bigint),
         count((fields ->> 'stream') || (fields ->> 'seq') || (fields ->> 'time'))
    INTO id, last, low, high, whole FROM unnest(lines) AS given(line), portcullis.fields(line) AS fields;
  IF whole <> cardinality(lines) OR id <> last OR high - low <> whole - 1 THEN
    RAISE EXCEPTION 'these are not consecutive records of one stream';
  END IF;
  PERFORM portcullis.partition(of_class, day) FROM
    (SELECT DISTINCT date_trunc('day', portcullis.moment(line) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS day FROM unnest(lines) AS line) AS days;
  -- The key holds `time` and `class`, as a partitioned table's must. That a number stands only once is seen to here.
  WITH there AS MATERIALIZED (SELECT seq FROM portcullis.trail WHERE stream = id AND seq BETWEEN low AND high)
  INSERT INTO portcullis.trail (class, time, line)
    SELECT of_class, portcullis.moment(line), line FROM unnest(lines) AS line
    WHERE NOT EXISTS (SELECT FROM there WHERE there.seq = (portcullis.fields(line) ->> 'seq')::bigint)
    ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS added = ROW_COUNT;
  IF added = cardinality(lines) THEN RETURN; END IF;
  RETURN QUERY
    WITH there AS MATERIALIZED (SELECT seq, line FROM portcullis.trail WHERE stream = id AND seq BETWEEN low AND high),
    other AS (
      SELECT there.seq, given.line FROM unnest(lines) AS given(line)
      JOIN there ON there.seq = (portcullis.fields(given.line) ->> 'seq')::bigint WHERE there.line <> given.line
    ),
    kept AS (INSERT INTO portcullis.conflicts (class, line) SELECT of_class, line FROM other ON CONFLICT DO NOTHING)
    SELECT id, seq FROM other ORDER BY seq;
END $$;

-- Drops the partitions of a class that hold nothing from `before` on; notes how far each stream is gone.
CREATE OR REPLACE FUNCTION portcullis.forget(of_class text, before timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' AS $$
DECLARE
  part text;
BEGIN
  FOR part IN
    SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
    WHERE inhparent = format('portcullis.%I', 'trail_' || of_class)::regclass
      AND substring(pg_get_expr(relpartbound, oid) FROM $to$TO \('([^']*)'\)$to$)::timestamptz <= before
    ORDER BY relname
  LOOP
    EXECUTE format('INSERT INTO portcullis.forgotten (class, stream, next) SELECT %L, stream, max(seq) + 1 FROM portcullis.%I GROUP BY stream', of_class, part);
    EXECUTE format('DROP TABLE portcullis.%I', part);
    RETURN NEXT part;
  END LOOP;
END $$;

-- Whoever may call a function or use a table by default, or was allowed to by somebody, no longer is.
REVOKE ALL ON FUNCTION portcullis.fields(text), portcullis.moment(text), portcullis.policies(text),
  portcullis.append(text, text[]), portcullis.partition(text, timestamptz), portcullis.forget(text, timestamptz)
  FROM PUBLIC, portcullis_writer, portcullis_reader;
DO $$
DECLARE
  owned regclass;
BEGIN
  FOR owned IN SELECT oid FROM pg_class
    WHERE relnamespace = 'portcullis'::regnamespace AND relowner = 'portcullis_owner'::regrole AND relkind IN ('r', 'p')
  LOOP
    EXECUTE format('REVOKE ALL ON TABLE %s FROM PUBLIC, portcullis_writer, portcullis_reader', owned);
    EXECUTE format('REVOKE ALL ON TYPE %s FROM PUBLIC, portcullis_writer, portcullis_reader', owned);
  END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION portcullis.append(text, text[]) TO portcullis_writer;
GRANT SELECT ON portcullis.trail, portcullis.conflicts, portcullis.forgotten TO portcullis_reader;
COMMIT;
