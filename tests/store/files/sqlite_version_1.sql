BEGIN TRANSACTION;
CREATE TABLE activities (
            workflow INTEGER NOT NULL,
            activity_id TEXT NOT NULL,
            activity_type TEXT NOT NULL,
            scheduled_seq INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            delivery INTEGER NOT NULL,
            next_attempt_at INTEGER,
            cancel_requested INTEGER NOT NULL,
            PRIMARY KEY (workflow, activity_id)
        ) WITHOUT ROWID
        ;
INSERT INTO "activities" VALUES(1,'activity:0','charge',2,2,2,1709251260000000,0);
INSERT INTO "activities" VALUES(1,'activity:1','charge',3,1,1,NULL,0);
INSERT INTO "activities" VALUES(2,'activity:0','charge',2,2,1,NULL,0);
CREATE TABLE events (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            workflow INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            recorded_at INTEGER NOT NULL,
            data TEXT NOT NULL,
            UNIQUE (workflow, seq)
        );
INSERT INTO "events" VALUES(1,1,1,'WorkflowStarted',1709251201000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"r-1","package_version":"unversioned","random_seed":7}');
INSERT INTO "events" VALUES(2,1,2,'ActivityScheduled',1709251202000000,'{"activity_id":"activity:0","activity_type":"charge","input":{"json":"{}"},"options":{"retry":{"max_attempts":5,"initial_interval":1.0,"backoff":2.0,"max_interval":100.0,"non_retryable":[]},"start_to_close":null,"key":null}}');
INSERT INTO "events" VALUES(3,1,3,'ActivityScheduled',1709251203000000,'{"activity_id":"activity:1","activity_type":"charge","input":{"json":"{}"},"options":{"retry":{"max_attempts":5,"initial_interval":1.0,"backoff":2.0,"max_interval":100.0,"non_retryable":[]},"start_to_close":null,"key":null}}');
INSERT INTO "events" VALUES(4,1,4,'ActivityFailed',1709251204000000,'{"activity_id":"activity:0","error":{"type":"Declined","message":"no money","kind":"retryable"},"attempt":1,"next_attempt_at":"2024-03-01T00:01:00+00:00"}');
INSERT INTO "events" VALUES(5,1,5,'ActivityStarted',1709251205000000,'{"activity_id":"activity:0","attempt":2,"delivery":2}');
INSERT INTO "events" VALUES(6,1,6,'TimerStarted',1709251206000000,'{"timer_id":"timer:0","fire_at":"2024-03-01T00:01:39+00:00"}');
INSERT INTO "events" VALUES(7,1,7,'TimerStarted',1709251207000000,'{"timer_id":"timer:1","fire_at":"2024-03-01T00:01:38+00:00"}');
INSERT INTO "events" VALUES(8,1,8,'TimerFired',1709251208000000,'{"timer_id":"timer:1","started_seq":7}');
INSERT INTO "events" VALUES(9,1,9,'SignalReceived',1709251209000000,'{"name":"approve","payload":{"json":"true"},"signal_id":"s-1"}');
INSERT INTO "events" VALUES(10,1,10,'SignalReceived',1709251210000000,'{"name":"approve","payload":{"json":"true"}}');
INSERT INTO "events" VALUES(11,2,1,'WorkflowStarted',1709251201000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"r-1","package_version":"unversioned","random_seed":7,"parent":{"workflow_id":"running","run_id":"r-1","child_key":"child:0"},"attributes":{"region":"north","n":1}}');
INSERT INTO "events" VALUES(12,2,2,'ActivityScheduled',1709251202000000,'{"activity_id":"activity:0","activity_type":"charge","input":{"json":"{}"},"options":{"retry":{"max_attempts":5,"initial_interval":1.0,"backoff":2.0,"max_interval":100.0,"non_retryable":[]},"start_to_close":null,"key":null}}');
INSERT INTO "events" VALUES(13,2,3,'ActivityFailed',1709251203000000,'{"activity_id":"activity:0","error":{"type":"Declined","message":"no money","kind":"retryable"},"attempt":1,"held":true}');
INSERT INTO "events" VALUES(14,3,1,'WorkflowStarted',1709251201000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"r-1","package_version":"unversioned","random_seed":7}');
INSERT INTO "events" VALUES(15,3,2,'ActivityScheduled',1709251202000000,'{"activity_id":"activity:0","activity_type":"charge","input":{"json":"{}"},"options":{"retry":{"max_attempts":5,"initial_interval":1.0,"backoff":2.0,"max_interval":100.0,"non_retryable":[]},"start_to_close":null,"key":null}}');
INSERT INTO "events" VALUES(16,3,3,'ActivityFailed',1709251203000000,'{"activity_id":"activity:0","error":{"type":"Declined","message":"no money","kind":"retryable"},"attempt":5}');
INSERT INTO "events" VALUES(17,3,4,'WorkflowFailed',1709251204000000,'{"error":{"type":"ActivityError","message":"activity failed"}}');
INSERT INTO "events" VALUES(18,4,1,'WorkflowStarted',1709251201000000,'{"workflow_type":"order","input":{"json":"{}"},"run_id":"r-1","package_version":"unversioned","random_seed":7}');
INSERT INTO "events" VALUES(19,4,2,'ActivityScheduled',1709251202000000,'{"activity_id":"activity:0","activity_type":"charge","input":{"json":"{}"},"options":{"retry":{"max_attempts":5,"initial_interval":1.0,"backoff":2.0,"max_interval":100.0,"non_retryable":[]},"start_to_close":null,"key":null}}');
INSERT INTO "events" VALUES(20,4,3,'ActivityFailed',1709251203000000,'{"activity_id":"activity:0","error":{"type":"Declined","message":"no money","kind":"retryable"},"attempt":5}');
INSERT INTO "events" VALUES(21,4,4,'WorkflowCompleted',1709251204000000,'{"result":{"json":"1"}}');
CREATE TABLE meta (
            name TEXT PRIMARY KEY,
            value INTEGER NOT NULL
        ) WITHOUT ROWID
        ;
INSERT INTO "meta" VALUES('epoch',1);
INSERT INTO "meta" VALUES('written',0);
CREATE TABLE timers (
            workflow INTEGER NOT NULL,
            timer_id TEXT NOT NULL,
            started_seq INTEGER NOT NULL,
            fire_at INTEGER NOT NULL,
            PRIMARY KEY (workflow, timer_id)
        ) WITHOUT ROWID
        ;
INSERT INTO "timers" VALUES(1,'timer:0',6,1709251299000000);
CREATE TABLE workflows (
            workflow INTEGER PRIMARY KEY,
            workflow_id TEXT NOT NULL UNIQUE,
            run_id TEXT NOT NULL,
            workflow_type TEXT NOT NULL,
            status TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            closed_at INTEGER,
            failure_reason TEXT
        );
INSERT INTO "workflows" VALUES(1,'running','r-1','order','Running',1709251201000000,NULL,NULL);
INSERT INTO "workflows" VALUES(2,'child','r-1','order','Running',1709251201000000,NULL,NULL);
INSERT INTO "workflows" VALUES(3,'failed','r-1','order','Failed',1709251201000000,1709251204000000,'ActivityError: activity failed');
INSERT INTO "workflows" VALUES(4,'recovered','r-1','order','Completed',1709251201000000,1709251204000000,NULL);
CREATE INDEX workflows_by_start ON workflows (started_at DESC, workflow_id);
CREATE INDEX open_workflows ON workflows (workflow_id) WHERE closed_at IS NULL;
CREATE INDEX timers_by_fire_at ON timers (fire_at, started_seq);
CREATE VIEW v_runs AS
        SELECT workflow_id, run_id, workflow_type, status,
            strftime('%Y-%m-%dT%H:%M:%S', (started_at - ((started_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((started_at % 1000000 + 1000000) % 1000000)) AS started_at,
            strftime('%Y-%m-%dT%H:%M:%S', (closed_at - ((closed_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((closed_at % 1000000 + 1000000) % 1000000)) AS closed_at,
            (SELECT max(seq) FROM events e WHERE e.workflow = w.workflow) AS events,
            failure_reason
        FROM workflows w;
CREATE VIEW v_events AS
        SELECT position, workflow_id, seq, strftime('%Y-%m-%dT%H:%M:%S', (recorded_at - ((recorded_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((recorded_at % 1000000 + 1000000) % 1000000)) AS recorded_at, kind, data
        FROM events JOIN workflows USING (workflow);
CREATE VIEW v_activities AS
        SELECT workflow_id, activity_id, activity_type, scheduled_seq, attempt, delivery,
            strftime('%Y-%m-%dT%H:%M:%S', (next_attempt_at - ((next_attempt_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((next_attempt_at % 1000000 + 1000000) % 1000000)) AS next_attempt_at,
            cancel_requested
        FROM activities JOIN workflows USING (workflow);
CREATE VIEW v_timers AS
        SELECT workflow_id, timer_id, started_seq, strftime('%Y-%m-%dT%H:%M:%S', (fire_at - ((fire_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((fire_at % 1000000 + 1000000) % 1000000)) AS fire_at
        FROM timers JOIN workflows USING (workflow);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',21);
COMMIT;
