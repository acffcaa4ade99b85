#include "haltere_client.h"

#include <string.h>

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static uint32_t link_now_us(const haltere_client *client)
{
    haltere_client_clock clock = client->options.link_clock ? client->options.link_clock : client->clock;
    return clock(client->user);
}

/* By its bits, so that -ffast-math cannot take the check away. */
static bool is_finite(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7F800000u) != 0x7F800000u;
}

static bool all_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_finite(values[i])) {
            return false;
        }
    }
    return true;
}

bool haltere_state_is_finite(const haltere_state *state)
{
    return all_finite(state->position_world_m, 3) && all_finite(state->quat_wxyz, 4) &&
           all_finite(state->velocity_world_m_s, 3) && all_finite(state->angular_velocity_body_rad_s, 3);
}

void haltere_client_init(haltere_client *client, haltere_client_write write, haltere_client_clock clock,
                         void *user, const haltere_client_options *options)
{
    memset(client, 0, sizeof *client);
    if (options != NULL) {
        client->options = *options;
    }
    haltere_client_options *own = &client->options;
    own->action_timeout_us = or_default(own->action_timeout_us, HALTERE_DEFAULT_ACTION_TIMEOUT_US);
    own->hello_period_us = or_default(own->hello_period_us, HALTERE_DEFAULT_HELLO_PERIOD_US);
    own->heartbeat_period_us = or_default(own->heartbeat_period_us, HALTERE_DEFAULT_HEARTBEAT_PERIOD_US);
    own->link_timeout_us = or_default(own->link_timeout_us, HALTERE_DEFAULT_LINK_TIMEOUT_US);
    for (size_t i = 0; own->name != NULL && own->name[i] != '\0' && i + 1 < sizeof client->name; i++) {
        client->name[i] = own->name[i];
    }
    own->name = NULL;
    client->write = write;
    client->clock = clock;
    client->user = user;
    client->life_cycle = HALTERE_LIFE_CYCLE_STANDBY;
    haltere_frame_decoder_init(&client->decoder);
}

void haltere_client_set_life_cycle(haltere_client *client, uint8_t life_cycle)
{
    client->life_cycle = life_cycle;
}

static void leave_session(haltere_client *client, enum haltere_client_link link)
{
    client->link = link;
    client->action_held = false;
    client->action_expired = false;
}

void haltere_client_disconnect(haltere_client *client)
{
    leave_session(client, HALTERE_LINK_WAITING);
    client->hello_sent = false;
    /* What came before the line was closed is not the beginning of what comes now. */
    client->decoder.length = 0;
    client->decoder.oversize = false;
    client->decoder.synchronised = false;
}

static bool send_frame(haltere_client *client, uint8_t id, const uint8_t *payload)
{
    uint8_t frame[HALTERE_MAX_WIRE_SIZE];
    size_t size = haltere_frame_encode(id, client->sequence, client->clock(client->user), payload, frame);
    client->sequence++;
    client->counters.frames_sent++;
    if (client->write(client->user, frame, size) != size) {
        client->counters.writes_dropped++;
        return false;
    }
    return true;
}

static void send_hello(haltere_client *client)
{
    uint8_t payload[HALTERE_SIZE_HELLO];
    haltere_hello hello = {
        .schema_hash = HALTERE_SCHEMA_HASH,
        .role = HALTERE_ROLE_FLIGHT_CONTROLLER,
        .session_id = client->options.session_id,
        .native_rate_hz = client->options.native_rate_hz,
    };
    memcpy(hello.name, client->name, sizeof hello.name);
    haltere_hello_pack(&hello, payload);
    send_frame(client, HALTERE_ID_HELLO, payload);
    client->hello_sent = true;
    client->hello_us = link_now_us(client);
}

static void send_version_fault(haltere_client *client)
{
    uint8_t payload[HALTERE_SIZE_FAULT];
    haltere_fault fault = {
        .code = HALTERE_FAULT_CODE_VERSION_MISMATCH,
        .detail = HALTERE_SCHEMA_HASH,
        .text = "flight controller has another schema hash",
    };
    haltere_fault_pack(&fault, payload);
    send_frame(client, HALTERE_ID_FAULT, payload);
}

static void receive_hello(haltere_client *client, const uint8_t *payload)
{
    haltere_hello hello;
    haltere_hello_unpack(&hello, payload);
    if (hello.role != HALTERE_ROLE_RUNTIME) {
        return;
    }
    bool was_connected = client->link == HALTERE_LINK_CONNECTED;
    bool restarted = was_connected && hello.session_id != client->runtime.session_id;
    client->runtime = hello;
    if (hello.schema_hash != HALTERE_SCHEMA_HASH) {
        leave_session(client, HALTERE_LINK_VERSION_MISMATCH);
        send_version_fault(client);
        return;
    }
    if (!was_connected || restarted) {
        leave_session(client, HALTERE_LINK_CONNECTED);
        client->counters.sessions++;
    }
    if (restarted) {
        send_hello(client);
    }
}

static void receive_fault(haltere_client *client, const uint8_t *payload)
{
    haltere_fault_unpack(&client->fault, payload);
    switch (client->fault.code) {
    case HALTERE_FAULT_CODE_VERSION_MISMATCH:
        leave_session(client, HALTERE_LINK_VERSION_MISMATCH);
        break;
    case HALTERE_FAULT_CODE_BUSY:
    case HALTERE_FAULT_CODE_SELF_TEST_FAILED:
    case HALTERE_FAULT_CODE_INTERNAL:
        leave_session(client, HALTERE_LINK_REFUSED);
        break;
    default: /* a bad parameter does not end the session */
        break;
    }
}

/* An age of 2^31 us and more is a time in the future. */
static bool is_future(uint32_t age_us)
{
    return age_us >= 0x80000000u;
}

/* Checks and clips the motor setpoints; those of SAFE are never flown, and may be anything. */
static bool take_motors(haltere_action *action)
{
    if (action->mode == HALTERE_MODE_SAFE) {
        memset(action->motor, 0, sizeof action->motor);
    }
    for (size_t i = 0; i < 4; i++) {
        float *motor = &action->motor[i];
        if (!is_finite(*motor) || *motor > 1.0f + HALTERE_MOTOR_TOLERANCE ||
            *motor < -1.0f - HALTERE_MOTOR_TOLERANCE) {
            return false;
        }
        *motor = *motor > 1.0f ? 1.0f : *motor < -1.0f ? -1.0f : *motor;
    }
    return true;
}

static void receive_action(haltere_client *client, const uint8_t *payload)
{
    haltere_action action;
    haltere_action_unpack(&action, payload);
    if (client->link != HALTERE_LINK_CONNECTED) {
        return;
    }
    if (is_future(client->clock(client->user) - action.state_valid_us) || action.mode > HALTERE_MODE_SAFE ||
        !take_motors(&action)) {
        client->counters.actions_rejected++;
        return;
    }
    if (client->action_held && is_future(action.state_valid_us - client->action.state_valid_us)) {
        client->counters.actions_outdated++;
        return;
    }
    client->action = action;
    client->action_held = true;
    client->action_expired = false;
    client->counters.actions_received++;
}

static void receive(void *user, const haltere_frame *frame)
{
    haltere_client *client = user;
    client->heard_us = link_now_us(client);
    switch (frame->id) {
    case HALTERE_ID_HELLO:
        receive_hello(client, frame->payload);
        break;
    case HALTERE_ID_ACTION:
        receive_action(client, frame->payload);
        break;
    case HALTERE_ID_FAULT:
        receive_fault(client, frame->payload);
        break;
    case HALTERE_ID_STATUS:
        haltere_status_unpack(&client->status, frame->payload);
        client->runtime_life_cycle = client->status.life_cycle;
        break;
    case HALTERE_ID_HEARTBEAT:
        client->runtime_life_cycle = frame->payload[0];
        break;
    default:
        break;
    }
    if (client->options.message != NULL) {
        client->options.message(client->user, frame);
    }
}

void haltere_client_feed(haltere_client *client, const uint8_t *bytes, size_t size)
{
    haltere_frame_feed(&client->decoder, bytes, size, receive, client);
}

/* Gives up an action that is too old, for good: its age wraps after 71.6 minutes and would look fresh. */
static void expire_action(haltere_client *client)
{
    uint32_t age_us = client->clock(client->user) - client->action.state_valid_us;
    if (client->action_held && age_us > client->options.action_timeout_us) {
        client->action_held = false;
        client->action_expired = true;
    }
}

void haltere_client_poll(haltere_client *client)
{
    uint32_t now_us = link_now_us(client);
    expire_action(client);
    if (client->link == HALTERE_LINK_CONNECTED &&
        now_us - client->heard_us > client->options.link_timeout_us) {
        haltere_client_disconnect(client);
    }
    if (client->link != HALTERE_LINK_CONNECTED) {
        if (!client->hello_sent || now_us - client->hello_us >= client->options.hello_period_us) {
            send_hello(client);
        }
    } else if (now_us - client->heartbeat_us >= client->options.heartbeat_period_us) {
        uint8_t payload[HALTERE_SIZE_HEARTBEAT];
        haltere_heartbeat heartbeat = {.life_cycle = client->life_cycle};
        haltere_heartbeat_pack(&heartbeat, payload);
        send_frame(client, HALTERE_ID_HEARTBEAT, payload);
        client->heartbeat_us = now_us;
    }
}

bool haltere_client_send_state(haltere_client *client, const haltere_state *state, uint8_t *sequence)
{
    uint8_t payload[HALTERE_SIZE_STATE];
    if (client->link != HALTERE_LINK_CONNECTED) {
        return false;
    }
    if (sequence != NULL) {
        *sequence = client->sequence;
    }
    haltere_state_pack(state, payload);
    return send_frame(client, HALTERE_ID_STATE, payload);
}

bool haltere_client_send_setpoint(haltere_client *client, const haltere_setpoint *setpoint)
{
    uint8_t payload[HALTERE_SIZE_SETPOINT];
    haltere_setpoint_pack(setpoint, payload);
    return client->link == HALTERE_LINK_CONNECTED && send_frame(client, HALTERE_ID_SETPOINT, payload);
}

bool haltere_client_send_parameter_set(haltere_client *client, const haltere_parameter_set *parameter)
{
    uint8_t payload[HALTERE_SIZE_PARAMETER_SET];
    haltere_parameter_set_pack(parameter, payload);
    return client->link == HALTERE_LINK_CONNECTED && send_frame(client, HALTERE_ID_PARAMETER_SET, payload);
}

enum haltere_action_result haltere_client_action(haltere_client *client, float motor[4],
                                                 haltere_action *details)
{
    if (client->link == HALTERE_LINK_VERSION_MISMATCH) {
        return HALTERE_ACTION_VERSION_MISMATCH;
    }
    if (client->link == HALTERE_LINK_REFUSED) {
        return HALTERE_ACTION_REFUSED;
    }
    if (client->link != HALTERE_LINK_CONNECTED) {
        return HALTERE_ACTION_NOT_CONNECTED;
    }
    expire_action(client);
    if (details != NULL && (client->action_held || client->action_expired)) {
        *details = client->action;
    }
    if (!client->action_held) {
        return client->action_expired ? HALTERE_ACTION_STALE : HALTERE_ACTION_NONE;
    }
    if (client->action.mode == HALTERE_MODE_SAFE) {
        return HALTERE_ACTION_SAFE;
    }
    memcpy(motor, client->action.motor, sizeof client->action.motor);
    return HALTERE_ACTION_OK;
}
