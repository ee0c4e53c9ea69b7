-- What the service needs of its owner once the two are different roles (docs/OPERATING.md, ADR 0025): rights are given
-- by `carbon-ledger database grant`; what asks for an owner is done by the functions below, and by nothing else.

-- The head only goes forward, whoever moves it: a smaller log, or another one of the same size, is nobody's to write.
CREATE FUNCTION journal.refuse_backwards() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.book <> OLD.book OR NEW.size < OLD.size OR NEW.key_epoch < OLD.key_epoch
        OR NEW.recorded_us < OLD.recorded_us OR NEW.rulebook_position < OLD.rulebook_position
        OR NEW.size = OLD.size AND (NEW.frontier, NEW.root, NEW.recorded_us, NEW.rulebook_position)
            <> (OLD.frontier, OLD.root, OLD.recorded_us, OLD.rulebook_position)
    THEN
        RAISE EXCEPTION '% on % refused: the head of the log only goes forward', TG_OP, TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER only_forward BEFORE UPDATE ON journal.log_head
    FOR EACH ROW EXECUTE FUNCTION journal.refuse_backwards();

-- Views are built anew beside the live ones and then put in their place, which only the owner of a table may do. The
-- functions run as the owner; there is no parameter in them that becomes a statement but the three names.
DROP SCHEMA IF EXISTS views_shadow CASCADE;
CREATE SCHEMA views_shadow;

-- Empty views in the shadow, with the rights that are given on views.progress.
CREATE FUNCTION views.shadow_begin() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held record;
BEGIN
    DROP TABLE IF EXISTS views_shadow.account_balance, views_shadow.account_statement, views_shadow.book_totals;
    CREATE TABLE views_shadow.account_balance (
        account_id uuid NOT NULL,
        behavior text NOT NULL,
        credited_mg numeric NOT NULL,
        credits bigint NOT NULL,
        PRIMARY KEY (account_id, behavior)
    ) WITH (fillfactor = 70);
    -- Its key is made when the rows are there, faster than kept up row by row.
    CREATE TABLE views_shadow.account_statement (
        account_id uuid NOT NULL,
        position bigint NOT NULL,
        version bigint NOT NULL,
        kind text NOT NULL,
        behavior text NOT NULL,
        day date,
        change_mg numeric NOT NULL,
        source text NOT NULL
    );
    CREATE TABLE views_shadow.book_totals (
        behavior text PRIMARY KEY,
        credited_mg numeric NOT NULL,
        credits bigint NOT NULL,
        accounts bigint NOT NULL
    );
    FOR held IN
        SELECT a.grantee::regrole AS role, a.privilege_type AS privilege
        FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS a
        WHERE c.oid = 'views.progress'::regclass AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON ALL TABLES IN SCHEMA views_shadow TO %s', held.privilege, held.role);
    END LOOP;
END $$;

CREATE FUNCTION views.shadow_key() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    ALTER TABLE views_shadow.account_statement ADD PRIMARY KEY (account_id, position);
END $$;

CREATE FUNCTION views.shadow_swap(name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF name NOT IN ('account_balance', 'account_statement', 'book_totals') THEN
        RAISE EXCEPTION 'there is no view %', name;
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS views.%I', name);
    EXECUTE format('ALTER TABLE views_shadow.%I SET SCHEMA views', name);
END $$;

CREATE FUNCTION views.shadow_end() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DROP TABLE IF EXISTS views_shadow.account_balance, views_shadow.account_statement, views_shadow.book_totals;
END $$;

REVOKE ALL ON FUNCTION views.shadow_begin(), views.shadow_key(), views.shadow_swap(text), views.shadow_end() FROM PUBLIC;
