BEGIN TRANSACTION;
CREATE TABLE activities (
            workflow INTEGER NOT NULL,
            activity_id TEXT NOT NULL,
            activity_type TEXT NOT NULL,
            scheduled_seq INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            delivery INTEGER NOT NULL,
            next_attempt_at INTEGER,
            cancel_requested INTEGER NOT NULL, held INTEGER NOT NULL DEFAULT 0, deadline INTEGER, rate_name TEXT, rate_window REAL, heartbeat_type TEXT, heartbeat BLOB,
            PRIMARY KEY (workflow, activity_id)
        ) WITHOUT ROWID
        ;
INSERT INTO "activities" VALUES(1,'activity:1','charge',3,1,1,NULL,0,0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "activities" VALUES(2,'activity:0','charge',2,1,1,NULL,0,0,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE answers (
            message_id TEXT PRIMARY KEY,
            answered_at INTEGER NOT NULL,
            body_type TEXT NOT NULL,
            body BLOB NOT NULL
        );
CREATE TABLE attributes (
            workflow INTEGER NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (workflow, name)
        ) WITHOUT ROWID
        ;
INSERT INTO "attributes" VALUES(1,'region','text north');
CREATE TABLE events (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            workflow INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            recorded_at INTEGER NOT NULL,
            data TEXT NOT NULL,
            UNIQUE (workflow, seq)
        );
INSERT INTO "events" VALUES(1,1,1,'WorkflowStarted',1709251201000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"run","package_version":"unversioned","random_seed":7,"attributes":{"region":"north"}}');
INSERT INTO "events" VALUES(2,1,2,'ActivityScheduled',1709251201000000,'{"activity_id":"activity:0","activity_type":"charge","input":{"json":"{}"},"options":{"retry":{"max_attempts":5,"initial_interval":1.0,"backoff":2.0,"max_interval":100.0,"non_retryable":[]},"start_to_close":null,"key":null}}');
INSERT INTO "events" VALUES(3,1,3,'ActivityScheduled',1709251201000000,'{"activity_id":"activity:1","activity_type":"charge","input":{"json":"{}"},"options":{"retry":{"max_attempts":5,"initial_interval":1.0,"backoff":2.0,"max_interval":100.0,"non_retryable":[]},"start_to_close":null,"key":null}}');
INSERT INTO "events" VALUES(4,2,1,'WorkflowStarted',1709251202000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"run","package_version":"unversioned","random_seed":7}');
INSERT INTO "events" VALUES(5,2,2,'ActivityScheduled',1709251202000000,'{"activity_id":"activity:0","activity_type":"charge","input":{"json":"{}"},"options":{"retry":{"max_attempts":5,"initial_interval":1.0,"backoff":2.0,"max_interval":100.0,"non_retryable":[]},"start_to_close":null,"key":null}}');
INSERT INTO "events" VALUES(6,3,1,'WorkflowStarted',1709251203000000,'{"workflow_type":"billing","input":{"json":"{}"},"run_id":"run","package_version":"unversioned","random_seed":7}');
INSERT INTO "events" VALUES(7,3,2,'WorkflowPaused',1709251203000000,'{"run_id":"run"}');
INSERT INTO "events" VALUES(8,4,1,'WorkflowStarted',1709251204000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"run","package_version":"unversioned","random_seed":7}');
INSERT INTO "events" VALUES(9,4,2,'WorkflowFailed',1709251204000000,'{"error":{"type":"Declined","message":"no money","kind":"retryable"}}');
INSERT INTO "events" VALUES(10,5,1,'WorkflowStarted',1709251205000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"run","package_version":"unversioned","random_seed":7}');
INSERT INTO "events" VALUES(11,5,2,'WorkflowCompleted',1709251205000000,'{"result":{"json":"null"}}');
INSERT INTO "events" VALUES(12,6,1,'WorkflowStarted',1709251206000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"run","package_version":"unversioned","random_seed":7}');
INSERT INTO "events" VALUES(13,6,2,'WorkflowCompleted',1709251206000000,'{"result":{"json":"null"}}');
INSERT INTO "events" VALUES(14,7,1,'WorkflowStarted',1709251209000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"run","package_version":"unversioned","random_seed":7}');
INSERT INTO "events" VALUES(15,7,2,'WorkflowContinuedAsNew',1709251209000000,'{"input":{"json":"{}"},"successor_run_id":"run-2"}');
INSERT INTO "events" VALUES(16,7,3,'WorkflowStarted',1709251209000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"run-2","package_version":"unversioned","random_seed":7,"continued_from":"run"}');
INSERT INTO "events" VALUES(17,1,4,'ActivityCompleted',1709251201000000,'{"activity_id":"activity:0","result":{"json":"1"},"attempt":1}');
INSERT INTO "events" VALUES(18,1,5,'SignalReceived',1709251201000000,'{"name":"approve","payload":{"json":"true"},"signal_id":"s-1"}');
CREATE TABLE limit_starts (
            name TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            counts_until INTEGER NOT NULL
        );
CREATE TABLE messages (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            message_id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            target TEXT NOT NULL,
            posted_at INTEGER NOT NULL,
            body_type TEXT NOT NULL,
            body BLOB NOT NULL,
            source_id TEXT,
            source_run_id TEXT,
            source_seq INTEGER
        );
INSERT INTO "messages" VALUES(1,'m','signal','running',1709251200000000,'application/json',X'6E756C6C',NULL,NULL,NULL);
CREATE TABLE meta (
            name TEXT PRIMARY KEY,
            value INTEGER NOT NULL
        ) WITHOUT ROWID
        ;
INSERT INTO "meta" VALUES('epoch',1);
INSERT INTO "meta" VALUES('written',0);
CREATE TABLE package_routes (
            workflow_type TEXT PRIMARY KEY,
            version TEXT NOT NULL
        );
CREATE TABLE packages (
            workflow_type TEXT NOT NULL,
            version TEXT NOT NULL,
            deployed_at INTEGER NOT NULL,
            archive BLOB NOT NULL,
            PRIMARY KEY (workflow_type, version)
        );
CREATE TABLE seen (
            workflow INTEGER NOT NULL,
            id TEXT NOT NULL,
            PRIMARY KEY (workflow, id)
        ) WITHOUT ROWID
        ;
INSERT INTO "seen" VALUES(1,'s-1');
CREATE TABLE timers (
            workflow INTEGER NOT NULL,
            timer_id TEXT NOT NULL,
            started_seq INTEGER NOT NULL,
            fire_at INTEGER NOT NULL,
            PRIMARY KEY (workflow, timer_id)
        ) WITHOUT ROWID
        ;
CREATE TABLE workflows (
            workflow INTEGER PRIMARY KEY,
            workflow_id TEXT NOT NULL UNIQUE,
            run_id TEXT NOT NULL,
            workflow_type TEXT NOT NULL,
            status TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            closed_at INTEGER,
            failure_reason TEXT
        , parent_id TEXT, parent_run_id TEXT, parent_child_key TEXT, attributes TEXT, failed_activity TEXT, stuck TEXT);
INSERT INTO "workflows" VALUES(1,'running','run','order','Running',1709251201000000,NULL,NULL,NULL,NULL,NULL,'{"region":"north"}',NULL,NULL);
INSERT INTO "workflows" VALUES(2,'stuck','run','order','Running',1709251202000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'its code has changed');
INSERT INTO "workflows" VALUES(3,'paused','run','billing','Paused',1709251203000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "workflows" VALUES(4,'failed','run','order','Failed',1709251204000000,1709251204000000,'Declined: no money',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "workflows" VALUES(5,'completed-0','run','order','Completed',1709251205000000,1709251205000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "workflows" VALUES(6,'completed-1','run','order','Completed',1709251206000000,1709251206000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "workflows" VALUES(7,'continued','run-2','order','Running',1709251209000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE INDEX workflows_by_start ON workflows (started_at DESC, workflow_id);
CREATE INDEX open_workflows ON workflows (workflow_id) WHERE closed_at IS NULL;
CREATE INDEX timers_by_fire_at ON timers (fire_at, started_seq);
CREATE VIEW v_events AS
        SELECT position, workflow_id, seq, strftime('%Y-%m-%dT%H:%M:%S', (recorded_at - ((recorded_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((recorded_at % 1000000 + 1000000) % 1000000)) AS recorded_at, kind, data
        FROM events JOIN workflows USING (workflow);
CREATE INDEX attributes_by_value ON attributes (name, value);
CREATE INDEX limit_starts_by_name ON limit_starts (name, started_at);
CREATE INDEX limit_starts_by_end ON limit_starts (name, counts_until);
CREATE INDEX answers_by_instant ON answers (answered_at);
CREATE VIEW v_runs AS
        SELECT workflow_id, run_id, workflow_type, status,
            strftime('%Y-%m-%dT%H:%M:%S', (started_at - ((started_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((started_at % 1000000 + 1000000) % 1000000)) AS started_at,
            strftime('%Y-%m-%dT%H:%M:%S', (closed_at - ((closed_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((closed_at % 1000000 + 1000000) % 1000000)) AS closed_at,
            (SELECT max(seq) FROM events e WHERE e.workflow = w.workflow) AS events,
            failure_reason, failed_activity, stuck, attributes,
            parent_id, parent_run_id, parent_child_key
        FROM workflows w;
CREATE VIEW v_activities AS
        SELECT workflow_id, activity_id, activity_type, scheduled_seq, attempt, delivery,
            strftime('%Y-%m-%dT%H:%M:%S', (next_attempt_at - ((next_attempt_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((next_attempt_at % 1000000 + 1000000) % 1000000)) AS next_attempt_at,
            cancel_requested, run_id, held,
            strftime('%Y-%m-%dT%H:%M:%S', (deadline - ((deadline % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((deadline % 1000000 + 1000000) % 1000000)) AS deadline,
            rate_name, rate_window, CAST(heartbeat AS TEXT) AS heartbeat
        FROM activities JOIN workflows USING (workflow);
CREATE VIEW v_timers AS
        SELECT workflow_id, timer_id, started_seq, strftime('%Y-%m-%dT%H:%M:%S', (fire_at - ((fire_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((fire_at % 1000000 + 1000000) % 1000000)) AS fire_at, run_id
        FROM timers JOIN workflows USING (workflow);
CREATE VIEW v_messages AS
        SELECT position, message_id, kind, target, strftime('%Y-%m-%dT%H:%M:%S', (posted_at - ((posted_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((posted_at % 1000000 + 1000000) % 1000000)) AS posted_at,
            CAST(body AS TEXT) AS body, source_id, source_run_id, source_seq
        FROM messages;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',18);
INSERT INTO "sqlite_sequence" VALUES('messages',1);
COMMIT;
