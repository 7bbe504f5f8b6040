CREATE TABLE account (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	posted_nano INTEGER NOT NULL, 
	held_nano INTEGER NOT NULL CHECK (held_nano >= 0), 
	floor_nano INTEGER, 
	priority INTEGER NOT NULL, 
	expires_at_ms INTEGER, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	CHECK (floor_nano IS NULL OR posted_nano - held_nano >= floor_nano)
)
 STRICT

;
CREATE TABLE admin_key (
	id TEXT NOT NULL, 
	organisation_id TEXT, 
	owner_id TEXT, 
	name TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	pepper_id TEXT NOT NULL, 
	prefix TEXT NOT NULL, 
	last4 TEXT NOT NULL, 
	scopes TEXT, 
	networks TEXT, 
	created_at_ms INTEGER NOT NULL, 
	expires_at_ms INTEGER, 
	revoked_at_ms INTEGER, 
	last_used_at_ms INTEGER, 
	PRIMARY KEY (id), 
	CHECK ((organisation_id IS NULL) = (owner_id IS NULL)), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id), 
	FOREIGN KEY(owner_id) REFERENCES subject (id), 
	UNIQUE (digest)
)
 STRICT

;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0013');
CREATE TABLE alert (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	body TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (subject)
)
 STRICT

;
CREATE TABLE allowance (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	period TEXT NOT NULL CHECK (period IN ('day', 'month')), 
	nano INTEGER NOT NULL CHECK (nano > 0), 
	created_at_ms INTEGER NOT NULL, 
	ends_at_ms INTEGER, 
	PRIMARY KEY (id), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id)
)
 STRICT

;
CREATE TABLE api_key (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	mode TEXT NOT NULL CHECK (mode IN ('live', 'test')), 
	digest BLOB NOT NULL, 
	pepper_id TEXT NOT NULL, 
	prefix TEXT NOT NULL, 
	last4 TEXT NOT NULL, 
	concurrency_max INTEGER NOT NULL CHECK (concurrency_max >= 1), 
	created_at_ms INTEGER NOT NULL, 
	expires_at_ms INTEGER, 
	revoked_at_ms INTEGER, compatibility TEXT CHECK (compatibility IN ('strict', 'warn', 'adapt')), kind TEXT NOT NULL DEFAULT 'standard' CHECK (kind IN ('standard', 'ephemeral')), scopes TEXT, models TEXT, networks TEXT, parent_id TEXT, owner_id TEXT, successor_id TEXT, last_used_at_ms INTEGER, 
	PRIMARY KEY (id), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id), 
	FOREIGN KEY(project_id) REFERENCES project (id), 
	UNIQUE (digest)
)
 STRICT

;
CREATE TABLE attempt (
	delivery_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	at_ms INTEGER NOT NULL, 
	outcome TEXT NOT NULL, 
	PRIMARY KEY (delivery_id, number)
)
 STRICT

;
CREATE TABLE audit_detail (
	organisation_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	"before" TEXT, 
	"after" TEXT, 
	redacted_at_ms INTEGER, 
	PRIMARY KEY (organisation_id, sequence)
)
 STRICT

;
CREATE TABLE audit_event (
	organisation_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	at_ms INTEGER NOT NULL, 
	actor_kind TEXT NOT NULL, 
	actor_id TEXT NOT NULL, 
	credential_id TEXT NOT NULL, 
	address TEXT NOT NULL, 
	action TEXT NOT NULL, 
	target TEXT NOT NULL, 
	details_hash BLOB NOT NULL, 
	previous_hash BLOB NOT NULL, 
	hash BLOB NOT NULL, 
	PRIMARY KEY (organisation_id, sequence)
)
 STRICT

;
CREATE TABLE audit_head (
	organisation_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	key_id TEXT NOT NULL, 
	hash BLOB NOT NULL, 
	signed_at_ms INTEGER NOT NULL, 
	signature BLOB NOT NULL, 
	PRIMARY KEY (organisation_id, sequence, key_id)
)
 STRICT

;
CREATE TABLE audit_run (
	id TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	started_at_ms INTEGER NOT NULL, 
	duration_ms INTEGER NOT NULL, 
	violations INTEGER NOT NULL CHECK (violations >= 0), 
	verdicts TEXT NOT NULL, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE batch (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	credential_id TEXT NOT NULL, 
	kind TEXT NOT NULL CHECK (kind IN ('openai', 'anthropic')), 
	endpoint TEXT NOT NULL, 
	state TEXT NOT NULL CHECK (state IN ('validating', 'in_progress', 'finalizing', 'completed', 'failed', 'expired', 'cancelling', 'cancelled')), 
	input_file_id TEXT, 
	output_file_id TEXT, 
	error_file_id TEXT, 
	metadata TEXT NOT NULL, 
	errors TEXT, 
	lines INTEGER NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	due_at_ms INTEGER NOT NULL, 
	started_at_ms INTEGER, 
	finalizing_at_ms INTEGER, 
	cancelling_at_ms INTEGER, 
	ended_at_ms INTEGER, 
	output_keep_ms INTEGER, 
	expires_at_ms INTEGER, 
	owner TEXT, 
	announced_at_ms INTEGER, usage TEXT, model TEXT, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE batch_line (
	batch_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	organisation_id TEXT NOT NULL, 
	custom_id TEXT NOT NULL, 
	state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'succeeded', 'errored', 'expired', 'cancelled')), 
	request BLOB, 
	request_id TEXT, 
	attempts INTEGER NOT NULL, 
	status INTEGER, 
	answer BLOB, 
	PRIMARY KEY (batch_id, number), 
	FOREIGN KEY(batch_id) REFERENCES batch (id) ON DELETE CASCADE
)
 STRICT

;
CREATE TABLE billing_customer (
	organisation_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	address TEXT NOT NULL, 
	country TEXT NOT NULL, 
	vat_id TEXT NOT NULL, 
	tax_kind TEXT NOT NULL, 
	mail TEXT NOT NULL, 
	updated_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (organisation_id), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id)
)
 STRICT

;
CREATE TABLE budget (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	scope TEXT NOT NULL CHECK (scope IN ('organisation', 'project', 'key')), 
	scope_id TEXT NOT NULL, 
	period TEXT NOT NULL CHECK (period IN ('day', 'month')), 
	cap_nano INTEGER NOT NULL CHECK (cap_nano >= 0), 
	alert_percents TEXT NOT NULL, 
	webhook_url TEXT NOT NULL, 
	mail TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (scope, scope_id, period), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id)
)
 STRICT

;
CREATE TABLE chain (
	organisation_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	hash BLOB NOT NULL, 
	PRIMARY KEY (organisation_id)
)
 STRICT

;
CREATE TABLE charge (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	model TEXT NOT NULL, 
	tier TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	lines TEXT NOT NULL, 
	terms_id TEXT NOT NULL, 
	list_nano INTEGER NOT NULL CHECK (list_nano >= 0), 
	net_nano INTEGER NOT NULL CHECK (net_nano >= 0), 
	absorbed_nano INTEGER NOT NULL CHECK (absorbed_nano >= 0), 
	charged_at_ms INTEGER NOT NULL, 
	previous_hash BLOB NOT NULL, 
	hash BLOB NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (organisation_id, sequence)
)
 STRICT

;
CREATE TABLE claim (
	id TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	due_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE conversation (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	metadata TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	expires_at_ms INTEGER, 
	locked_by TEXT, 
	locked_until_ms INTEGER, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE conversation_item (
	conversation_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	organisation_id TEXT NOT NULL, 
	id TEXT NOT NULL, 
	item BLOB NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (conversation_id, position), 
	UNIQUE (conversation_id, id), 
	FOREIGN KEY(conversation_id) REFERENCES conversation (id) ON DELETE CASCADE
)
 STRICT

;
CREATE TABLE delivery (
	id TEXT NOT NULL, 
	alert_id TEXT NOT NULL, 
	channel TEXT NOT NULL CHECK (channel IN ('webhook', 'mail')), 
	target TEXT NOT NULL, 
	state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'given_up')), 
	attempts INTEGER NOT NULL, 
	due_at_ms INTEGER NOT NULL, 
	resolved_at_ms INTEGER, 
	PRIMARY KEY (id), 
	UNIQUE (alert_id, channel, target), 
	FOREIGN KEY(alert_id) REFERENCES alert (id)
)
 STRICT

;
CREATE TABLE deployment (
	id TEXT NOT NULL, 
	model TEXT NOT NULL, 
	engine TEXT NOT NULL, 
	location TEXT NOT NULL, 
	upstream_model TEXT NOT NULL, 
	credential_env TEXT, 
	created_at_ms INTEGER NOT NULL, position INTEGER NOT NULL DEFAULT 0, data_use TEXT NOT NULL DEFAULT 'no_training' CHECK (data_use IN ('own', 'no_training', 'may_train')), sealed_key TEXT, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE dispute (
	id TEXT NOT NULL, 
	top_up_id TEXT NOT NULL, 
	amount_minor INTEGER NOT NULL CHECK (amount_minor > 0), 
	amount_nano INTEGER NOT NULL, 
	state TEXT NOT NULL CHECK (state IN ('open', 'won', 'lost')), 
	opened_at_ms INTEGER NOT NULL, 
	closed_at_ms INTEGER, 
	PRIMARY KEY (id), 
	CHECK (amount_nano = amount_minor * 10000000), 
	FOREIGN KEY(top_up_id) REFERENCES top_up (id)
)
 STRICT

;
CREATE TABLE drill (
	id TEXT NOT NULL, 
	server TEXT NOT NULL, 
	model TEXT NOT NULL, 
	seconds INTEGER NOT NULL CHECK (seconds BETWEEN 1 AND 60), 
	asked_at_ms INTEGER NOT NULL, 
	began_at_ms INTEGER, 
	deployment TEXT, 
	problem TEXT, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE dunning (
	organisation_id TEXT NOT NULL, 
	state TEXT NOT NULL CHECK (state IN ('good', 'read_only', 'suspended')), 
	closed TEXT NOT NULL, 
	changed_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (organisation_id), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id)
)
 STRICT

;
CREATE TABLE dunning_notice (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	invoice_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	recipient TEXT NOT NULL, 
	due_at_ms INTEGER NOT NULL, 
	sent_at_ms INTEGER, 
	PRIMARY KEY (id), 
	UNIQUE (invoice_id, kind), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id), 
	FOREIGN KEY(invoice_id) REFERENCES invoice (id)
)
 STRICT

;
CREATE TABLE entry (
	txn_id TEXT NOT NULL, 
	account_id TEXT NOT NULL, 
	amount_nano INTEGER NOT NULL CHECK (amount_nano <> 0), 
	PRIMARY KEY (txn_id, account_id), 
	FOREIGN KEY(txn_id) REFERENCES txn (id), 
	FOREIGN KEY(account_id) REFERENCES account (id)
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE file (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	filename TEXT NOT NULL, 
	media_type TEXT NOT NULL, 
	size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0), 
	created_at_ms INTEGER NOT NULL, 
	expires_at_ms INTEGER, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE file_room (
	project_id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	files INTEGER NOT NULL CHECK (files >= 0), 
	stored_bytes INTEGER NOT NULL CHECK (stored_bytes >= 0), 
	PRIMARY KEY (project_id)
)
 STRICT

;
CREATE TABLE hold (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'void', 'expired')), 
	amount_nano INTEGER NOT NULL CHECK (amount_nano > 0), 
	parts TEXT NOT NULL, 
	quote TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	opened_at_ms INTEGER NOT NULL, 
	ttl_ms INTEGER NOT NULL CHECK (ttl_ms > 0), 
	resolved_at_ms INTEGER, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE idempotency_key (
	project_id TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	fingerprint BLOB NOT NULL, 
	request_id TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	state TEXT NOT NULL CHECK (state IN ('open', 'done')), 
	status INTEGER NOT NULL, 
	head BLOB NOT NULL, 
	stream INTEGER NOT NULL, 
	answer BLOB, 
	created_at_ms INTEGER NOT NULL, 
	expires_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (project_id, "key"), 
	UNIQUE (request_id)
)
 STRICT

;
CREATE TABLE instance (
	id TEXT NOT NULL, 
	started_at_ms INTEGER NOT NULL, 
	beat_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE invitation (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	email TEXT NOT NULL, 
	role TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	pepper_id TEXT NOT NULL, 
	invited_by TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	expires_at_ms INTEGER NOT NULL, 
	accepted_at_ms INTEGER, 
	revoked_at_ms INTEGER, 
	PRIMARY KEY (id), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id), 
	UNIQUE (digest)
)
 STRICT

;
CREATE TABLE invoice (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	kind TEXT NOT NULL CHECK (kind IN ('invoice', 'credit_note')), 
	entity TEXT NOT NULL, 
	year INTEGER NOT NULL, 
	sequence INTEGER NOT NULL CHECK (sequence >= 1), 
	number TEXT NOT NULL, 
	corrects_id TEXT, 
	first_sequence INTEGER, 
	last_sequence INTEGER, 
	period_start_ms INTEGER, 
	period_end_ms INTEGER, 
	issued_at_ms INTEGER NOT NULL, 
	due_at_ms INTEGER NOT NULL, 
	owed_nano INTEGER NOT NULL, 
	due_cents INTEGER NOT NULL, 
	tax_cents INTEGER NOT NULL, 
	document TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	PRIMARY KEY (id), 
	CHECK ((kind = 'invoice') = (corrects_id IS NULL)), 
	CHECK ((kind = 'invoice') = (first_sequence IS NOT NULL)), 
	CHECK (first_sequence <= last_sequence), 
	CHECK (period_start_ms < period_end_ms), 
	CHECK (kind = 'invoice' OR (owed_nano <= 0 AND due_cents <= 0 AND tax_cents <= 0)), 
	CHECK (kind <> 'invoice' OR (owed_nano >= 0 AND due_cents >= 0 AND tax_cents >= 0)), 
	UNIQUE (entity, kind, year, sequence), 
	UNIQUE (entity, number), 
	UNIQUE (organisation_id, first_sequence), 
	UNIQUE (organisation_id, period_start_ms), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id), 
	FOREIGN KEY(corrects_id) REFERENCES invoice (id)
)
 STRICT

;
CREATE TABLE invoice_payment (
	id TEXT NOT NULL, 
	invoice_id TEXT NOT NULL, 
	due_cents INTEGER NOT NULL CHECK (due_cents >= 0), 
	tax_cents INTEGER NOT NULL CHECK (tax_cents >= 0), 
	paid_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	CHECK (due_cents + tax_cents > 0), 
	FOREIGN KEY(invoice_id) REFERENCES invoice (id)
)
 STRICT

;
CREATE TABLE invoice_series (
	entity TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	year INTEGER NOT NULL, 
	last INTEGER NOT NULL CHECK (last >= 0), 
	issued_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (entity, kind, year)
)
 STRICT

;
CREATE TABLE member (
	organisation_id TEXT NOT NULL, 
	subject_id TEXT NOT NULL, 
	role TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (organisation_id, subject_id), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id), 
	FOREIGN KEY(subject_id) REFERENCES subject (id)
)
 STRICT

;
CREATE TABLE organisation (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, suspended_at_ms INTEGER, suspended_reason TEXT, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE payer (
	organisation_id TEXT NOT NULL, 
	customer_id TEXT NOT NULL, 
	payment_method_id TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (organisation_id), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id), 
	UNIQUE (customer_id)
)
 STRICT

;
CREATE TABLE payment_event (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	object_id TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	received_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE payment_freeze (
	id TEXT NOT NULL CHECK (id IN ('recharge')), 
	reason TEXT NOT NULL, 
	frozen_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE price (
	id TEXT NOT NULL, 
	model TEXT NOT NULL, 
	meter TEXT NOT NULL, 
	tier TEXT NOT NULL, 
	"plan" TEXT NOT NULL, 
	above_input_tokens INTEGER NOT NULL, 
	nano_per_million INTEGER NOT NULL CHECK (nano_per_million >= 0), 
	effective_from_ms INTEGER NOT NULL, 
	author TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (model, meter, tier, "plan", above_input_tokens, effective_from_ms)
)
 STRICT

;
CREATE TABLE project (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, data_use TEXT NOT NULL DEFAULT 'no_training' CHECK (data_use IN ('own', 'no_training', 'may_train')), compatibility TEXT NOT NULL DEFAULT 'warn' CHECK (compatibility IN ('strict', 'warn', 'adapt')), models TEXT, retention TEXT NOT NULL DEFAULT 'metadata' CHECK (retention IN ('zero', 'metadata', 'days', 'contributor')), retention_days INTEGER CHECK (retention_days >= 1), archived_at_ms INTEGER, 
	PRIMARY KEY (id), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id)
)
 STRICT

;
CREATE TABLE project_member (
	project_id TEXT NOT NULL, 
	subject_id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	role TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (project_id, subject_id), 
	FOREIGN KEY(project_id) REFERENCES project (id), 
	FOREIGN KEY(subject_id) REFERENCES subject (id), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id)
)
 STRICT

;
CREATE TABLE rate_limit (
	scope TEXT NOT NULL CHECK (scope IN ('key', 'project', 'organisation', 'installation')), 
	scope_id TEXT NOT NULL, 
	model TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	requests_per_minute INTEGER CHECK (requests_per_minute >= 0), 
	input_tokens_per_minute INTEGER CHECK (input_tokens_per_minute >= 0), 
	output_tokens_per_minute INTEGER CHECK (output_tokens_per_minute >= 0), 
	requests_at_once INTEGER CHECK (requests_at_once >= 0), 
	set_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (scope, scope_id, model)
)
 STRICT

;
CREATE TABLE recharge (
	organisation_id TEXT NOT NULL, 
	enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)), 
	threshold_nano INTEGER NOT NULL CHECK (threshold_nano >= 0), 
	target_nano INTEGER NOT NULL, 
	cap_minor INTEGER NOT NULL CHECK (cap_minor > 0), 
	declines INTEGER NOT NULL CHECK (declines >= 0), 
	rests_until_ms INTEGER NOT NULL, 
	says TEXT NOT NULL, 
	author TEXT NOT NULL, 
	changed_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (organisation_id), 
	CHECK (target_nano > threshold_nano), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id)
)
 STRICT

;
CREATE TABLE response (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	credential_id TEXT NOT NULL, 
	model TEXT NOT NULL, 
	state TEXT NOT NULL CHECK (state IN ('queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled')), 
	background INTEGER NOT NULL, 
	stream INTEGER NOT NULL, 
	previous_id TEXT, 
	conversation_id TEXT, 
	request BLOB, 
	input BLOB NOT NULL, 
	body BLOB NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	ended_at_ms INTEGER, 
	expires_at_ms INTEGER, 
	request_id TEXT, 
	owner TEXT, 
	attempts INTEGER NOT NULL, 
	announced_at_ms INTEGER, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE response_event (
	response_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	organisation_id TEXT NOT NULL, 
	events BLOB NOT NULL, 
	PRIMARY KEY (response_id, sequence), 
	FOREIGN KEY(response_id) REFERENCES response (id) ON DELETE CASCADE
)
 STRICT

;
CREATE TABLE role (
	organisation_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	level TEXT NOT NULL CHECK (level IN ('organisation', 'project')), 
	scopes TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (organisation_id, name), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id)
)
 STRICT

;
CREATE TABLE signed_head (
	organisation_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	key_id TEXT NOT NULL, 
	hash BLOB NOT NULL, 
	signed_at_ms INTEGER NOT NULL, 
	signature BLOB NOT NULL, 
	PRIMARY KEY (organisation_id, sequence, key_id)
)
 STRICT

;
CREATE TABLE subject (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL CHECK (kind IN ('user', 'service_account')), 
	name TEXT NOT NULL, 
	email TEXT, 
	project_id TEXT, 
	created_at_ms INTEGER NOT NULL, 
	disabled_at_ms INTEGER, 
	PRIMARY KEY (id), 
	UNIQUE (email), 
	FOREIGN KEY(project_id) REFERENCES project (id)
)
 STRICT

;
CREATE TABLE tax_rate (
	id TEXT NOT NULL, 
	country TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	basis_points INTEGER NOT NULL CHECK (basis_points BETWEEN 0 AND 10000), 
	valid_from_ms INTEGER NOT NULL, 
	author TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (country, kind, valid_from_ms)
)
 STRICT

;
CREATE TABLE terms (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	kind TEXT NOT NULL CHECK (kind IN ('internal', 'free', 'prepaid', 'postpaid', 'commit')), 
	"plan" TEXT NOT NULL, 
	share_numerator INTEGER NOT NULL CHECK (share_numerator >= 0), 
	share_denominator INTEGER NOT NULL CHECK (share_denominator > 0), 
	discounts TEXT NOT NULL, 
	consent TEXT NOT NULL, 
	effective_from_ms INTEGER NOT NULL, 
	author TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (organisation_id, effective_from_ms), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id)
)
 STRICT

;
CREATE TABLE top_up (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	origin TEXT NOT NULL CHECK (origin IN ('manual', 'recharge')), 
	state TEXT NOT NULL CHECK (state IN ('open', 'paid', 'failed')), 
	amount_minor INTEGER NOT NULL CHECK (amount_minor > 0), 
	amount_nano INTEGER NOT NULL, 
	currency TEXT NOT NULL CHECK (currency IN ('usd')), 
	method TEXT NOT NULL, 
	customer_id TEXT NOT NULL, 
	payment_method_id TEXT NOT NULL, 
	intent_id TEXT NOT NULL, 
	says TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	checked_at_ms INTEGER NOT NULL, 
	closed_at_ms INTEGER, 
	PRIMARY KEY (id), 
	CHECK (amount_nano = amount_minor * 10000000), 
	CHECK (state <> 'paid' OR intent_id <> ''), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id)
)
 STRICT

;
CREATE TABLE top_up_refund (
	id TEXT NOT NULL, 
	top_up_id TEXT NOT NULL, 
	amount_minor INTEGER NOT NULL CHECK (amount_minor > 0), 
	amount_nano INTEGER NOT NULL, 
	state TEXT NOT NULL CHECK (state IN ('open', 'paid', 'failed')), 
	provider_id TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	closed_at_ms INTEGER, 
	PRIMARY KEY (id), 
	CHECK (amount_nano = amount_minor * 10000000), 
	FOREIGN KEY(top_up_id) REFERENCES top_up (id)
)
 STRICT

;
CREATE TABLE txn (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id)
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE upload (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	filename TEXT NOT NULL, 
	media_type TEXT NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	created_at_ms INTEGER NOT NULL, 
	expires_at_ms INTEGER NOT NULL, 
	keep_ms INTEGER, 
	state TEXT NOT NULL CHECK (state IN ('pending', 'completed', 'cancelled')), 
	file_id TEXT, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE upload_part (
	id TEXT NOT NULL, 
	upload_id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0), 
	created_at_ms INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(upload_id) REFERENCES upload (id)
)
 STRICT

;
CREATE TABLE usage_record (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	project_id TEXT NOT NULL, 
	key_id TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	dialect TEXT NOT NULL, 
	model TEXT NOT NULL, 
	deployment TEXT NOT NULL, 
	stream INTEGER NOT NULL, 
	outcome TEXT NOT NULL, 
	finish_reason TEXT NOT NULL, 
	input_text INTEGER NOT NULL, 
	input_cache_read INTEGER NOT NULL, 
	input_cache_write_5m INTEGER NOT NULL, 
	input_cache_write_1h INTEGER NOT NULL, 
	input_image INTEGER NOT NULL, 
	input_audio INTEGER NOT NULL, 
	output_text INTEGER NOT NULL, 
	output_reasoning INTEGER NOT NULL, 
	output_audio INTEGER NOT NULL, 
	estimated INTEGER NOT NULL, 
	started_at_ms INTEGER NOT NULL, 
	queue_ms INTEGER NOT NULL, 
	ttft_ms INTEGER, 
	duration_ms INTEGER NOT NULL, 
	PRIMARY KEY (id)
)
 STRICT

;
CREATE TABLE webhook_endpoint (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	project_id TEXT, 
	url TEXT NOT NULL, 
	kinds TEXT, 
	secret BLOB NOT NULL, 
	former_secret BLOB, 
	former_until_ms INTEGER, 
	created_at_ms INTEGER NOT NULL, 
	disabled_at_ms INTEGER, 
	disabled_reason TEXT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(organisation_id) REFERENCES organisation (id), 
	FOREIGN KEY(project_id) REFERENCES project (id)
)
 STRICT

;
CREATE INDEX usage_record_by_project ON usage_record (project_id, started_at_ms);
CREATE INDEX usage_record_running ON usage_record (started_at_ms) WHERE outcome = 'running';
CREATE INDEX account_by_organisation ON account (organisation_id);
CREATE INDEX account_funding ON account (organisation_id) WHERE kind IN ('prepaid', 'promo', 'receivable') AND (posted_nano > 0 OR kind = 'receivable');
CREATE INDEX hold_open ON hold (opened_at_ms) WHERE state = 'open';
CREATE INDEX entry_beside_charges ON entry (account_id) WHERE substr(txn_id, 1, 7) <> 'settle:';
CREATE TRIGGER price_refuses_update BEFORE UPDATE ON price BEGIN SELECT RAISE(ABORT, 'price is append-only'); END;
CREATE TRIGGER price_refuses_delete BEFORE DELETE ON price BEGIN SELECT RAISE(ABORT, 'price is append-only'); END;
CREATE TRIGGER terms_refuses_update BEFORE UPDATE ON terms BEGIN SELECT RAISE(ABORT, 'terms is append-only'); END;
CREATE TRIGGER terms_refuses_delete BEFORE DELETE ON terms BEGIN SELECT RAISE(ABORT, 'terms is append-only'); END;
CREATE TRIGGER txn_refuses_update BEFORE UPDATE ON txn BEGIN SELECT RAISE(ABORT, 'txn is append-only'); END;
CREATE TRIGGER txn_refuses_delete BEFORE DELETE ON txn BEGIN SELECT RAISE(ABORT, 'txn is append-only'); END;
CREATE TRIGGER entry_refuses_update BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entry is append-only'); END;
CREATE TRIGGER entry_refuses_delete BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entry is append-only'); END;
CREATE TRIGGER charge_refuses_update BEFORE UPDATE ON charge BEGIN SELECT RAISE(ABORT, 'charge is append-only'); END;
CREATE TRIGGER charge_refuses_delete BEFORE DELETE ON charge BEGIN SELECT RAISE(ABORT, 'charge is append-only'); END;
CREATE INDEX idempotency_key_by_expiry ON idempotency_key (state, expires_at_ms);
CREATE UNIQUE INDEX top_up_by_intent ON top_up (intent_id) WHERE intent_id <> '';
CREATE UNIQUE INDEX top_up_one_recharge ON top_up (organisation_id) WHERE origin = 'recharge' AND state = 'open';
CREATE INDEX top_up_open ON top_up (checked_at_ms) WHERE state = 'open';
CREATE INDEX top_up_by_organisation ON top_up (organisation_id, created_at_ms);
CREATE INDEX top_up_refund_by_top_up ON top_up_refund (top_up_id);
CREATE INDEX top_up_refund_open ON top_up_refund (created_at_ms) WHERE state = 'open';
CREATE INDEX dispute_by_top_up ON dispute (top_up_id);
CREATE INDEX invoice_by_corrected ON invoice (corrects_id);
CREATE INDEX invoice_payment_by_invoice ON invoice_payment (invoice_id);
CREATE TRIGGER tax_rate_refuses_update BEFORE UPDATE ON tax_rate BEGIN SELECT RAISE(ABORT, 'tax_rate is append-only'); END;
CREATE TRIGGER tax_rate_refuses_delete BEFORE DELETE ON tax_rate BEGIN SELECT RAISE(ABORT, 'tax_rate is append-only'); END;
CREATE TRIGGER invoice_refuses_update BEFORE UPDATE ON invoice BEGIN SELECT RAISE(ABORT, 'invoice is append-only'); END;
CREATE TRIGGER invoice_refuses_delete BEFORE DELETE ON invoice BEGIN SELECT RAISE(ABORT, 'invoice is append-only'); END;
CREATE TRIGGER invoice_payment_refuses_update BEFORE UPDATE ON invoice_payment BEGIN SELECT RAISE(ABORT, 'invoice_payment is append-only'); END;
CREATE TRIGGER invoice_payment_refuses_delete BEFORE DELETE ON invoice_payment BEGIN SELECT RAISE(ABORT, 'invoice_payment is append-only'); END;
CREATE INDEX delivery_waiting ON delivery (due_at_ms) WHERE state = 'waiting';
CREATE TRIGGER signed_head_refuses_update BEFORE UPDATE ON signed_head BEGIN SELECT RAISE(ABORT, 'signed_head is append-only'); END;
CREATE TRIGGER signed_head_refuses_delete BEFORE DELETE ON signed_head BEGIN SELECT RAISE(ABORT, 'signed_head is append-only'); END;
CREATE TRIGGER audit_run_refuses_update BEFORE UPDATE ON audit_run BEGIN SELECT RAISE(ABORT, 'audit_run is append-only'); END;
CREATE TRIGGER audit_run_refuses_delete BEFORE DELETE ON audit_run BEGIN SELECT RAISE(ABORT, 'audit_run is append-only'); END;
CREATE TRIGGER alert_refuses_update BEFORE UPDATE ON alert BEGIN SELECT RAISE(ABORT, 'alert is append-only'); END;
CREATE TRIGGER alert_refuses_delete BEFORE DELETE ON alert BEGIN SELECT RAISE(ABORT, 'alert is append-only'); END;
CREATE TRIGGER attempt_refuses_update BEFORE UPDATE ON attempt BEGIN SELECT RAISE(ABORT, 'attempt is append-only'); END;
CREATE TRIGGER attempt_refuses_delete BEFORE DELETE ON attempt BEGIN SELECT RAISE(ABORT, 'attempt is append-only'); END;
CREATE INDEX api_key_parent ON api_key (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX api_key_owner ON api_key (owner_id) WHERE owner_id IS NOT NULL;
CREATE INDEX api_key_project ON api_key (project_id) WHERE parent_id IS NULL;
CREATE INDEX project_organisation ON project (organisation_id);
CREATE INDEX subject_project ON subject (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX member_subject ON member (subject_id);
CREATE INDEX project_member_subject ON project_member (subject_id);
CREATE INDEX invitation_organisation ON invitation (organisation_id);
CREATE INDEX admin_key_organisation ON admin_key (organisation_id);
CREATE TRIGGER audit_event_refuses_update BEFORE UPDATE ON audit_event BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END;
CREATE TRIGGER audit_event_refuses_delete BEFORE DELETE ON audit_event BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END;
CREATE TRIGGER audit_head_refuses_update BEFORE UPDATE ON audit_head BEGIN SELECT RAISE(ABORT, 'audit_head is append-only'); END;
CREATE TRIGGER audit_head_refuses_delete BEFORE DELETE ON audit_head BEGIN SELECT RAISE(ABORT, 'audit_head is append-only'); END;
CREATE INDEX delivery_target ON delivery (channel, target);
CREATE INDEX webhook_endpoint_organisation ON webhook_endpoint (organisation_id);
CREATE INDEX response_project ON response (project_id, id);
CREATE INDEX response_expiry ON response (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX response_request ON response (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX response_unannounced ON response (ended_at_ms) WHERE background = 1 AND announced_at_ms IS NULL AND ended_at_ms IS NOT NULL;
CREATE INDEX conversation_project ON conversation (project_id, id);
CREATE INDEX conversation_expiry ON conversation (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX batch_project ON batch (project_id, id);
CREATE INDEX batch_open ON batch (state, id) WHERE ended_at_ms IS NULL;
CREATE INDEX batch_expiry ON batch (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX batch_unannounced ON batch (ended_at_ms) WHERE announced_at_ms IS NULL AND ended_at_ms IS NOT NULL;
CREATE INDEX batch_line_state ON batch_line (batch_id, state, number);
CREATE INDEX batch_line_request ON batch_line (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX file_project ON file (project_id, id);
CREATE INDEX file_purpose ON file (project_id, purpose, id);
CREATE INDEX file_expiry ON file (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX upload_project ON upload (project_id, id);
CREATE INDEX upload_expiry ON upload (expires_at_ms);
CREATE INDEX upload_part_upload ON upload_part (upload_id);
CREATE INDEX response_open ON response (state, project_id, id) WHERE state IN ('queued', 'in_progress');
