#include "haltere_frame.h"

#include <string.h>

#define OVERHEAD (HALTERE_FRAME_HEADER_SIZE + HALTERE_FRAME_CRC_SIZE)

/* zlib's CRC-32, four bits at a time: 64 bytes of table rather than 1024. */
static uint32_t crc32(const uint8_t *bytes, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

static size_t cobs_encode(const uint8_t *in, size_t size, uint8_t *out)
{
    size_t code_at = 0;
    size_t written = 1;
    uint8_t code = 1;
    for (size_t i = 0; i < size; i++) {
        if (in[i] != 0) {
            out[written++] = in[i];
            code++;
        }
        if (in[i] == 0 || (code == 0xFF && i + 1 < size)) {
            out[code_at] = code;
            code_at = written++;
            code = 1;
        }
    }
    out[code_at] = code;
    return written;
}

/* Decodes in place; returns the size, or -1 if a code points beyond the end. */
static int cobs_decode(uint8_t *bytes, size_t size)
{
    size_t read = 0;
    size_t written = 0;
    while (read < size) {
        uint8_t code = bytes[read++];
        if (code == 0 || (size_t)code - 1 > size - read) {
            return -1;
        }
        memmove(bytes + written, bytes + read, (size_t)code - 1);
        written += (size_t)code - 1;
        read += (size_t)code - 1;
        if (code != 0xFF && read < size) {
            bytes[written++] = 0;
        }
    }
    return (int)written;
}

void haltere_frame_decoder_init(haltere_frame_decoder *decoder)
{
    memset(decoder, 0, sizeof *decoder);
}

/* A hello may come from a sender that has restarted: what is missing before it is not lost. */
static void count_sequence(haltere_frame_decoder *decoder, const haltere_frame *frame)
{
    decoder->counts.received++;
    if (decoder->synchronised && frame->id != HALTERE_ID_HELLO) {
        decoder->counts.lost += (uint8_t)(frame->sequence - decoder->next_sequence);
    }
    decoder->synchronised = true;
    decoder->next_sequence = (uint8_t)(frame->sequence + 1);
}

/* Decodes the buffer; returns whether it held a good frame, and counts it either way. */
static bool decode(haltere_frame_decoder *decoder, haltere_frame *frame)
{
    uint8_t *body = decoder->buffer;
    int size = cobs_decode(body, decoder->length);
    if (size < 0) {
        decoder->counts.cobs++;
        return false;
    }
    if (size < (int)OVERHEAD) {
        decoder->counts.length++;
        return false;
    }
    uint32_t crc;
    haltere_get_u32(body + size - HALTERE_FRAME_CRC_SIZE, &crc);
    if (crc != crc32(body, (size_t)size - HALTERE_FRAME_CRC_SIZE)) {
        decoder->counts.crc++;
        return false;
    }
    int payload_size = haltere_payload_size(body[0]);
    if (payload_size < 0) {
        decoder->counts.unknown++;
        return false;
    }
    if (size != payload_size + (int)OVERHEAD) {
        decoder->counts.length++;
        return false;
    }
    frame->id = body[0];
    frame->sequence = body[1];
    haltere_get_u32(body + 2, &frame->time_us);
    frame->payload = body + HALTERE_FRAME_HEADER_SIZE;
    count_sequence(decoder, frame);
    return true;
}

void haltere_frame_feed(haltere_frame_decoder *decoder, const uint8_t *bytes, size_t size,
                        haltere_frame_callback callback, void *user)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == 0) {
            haltere_frame frame;
            bool good = !decoder->oversize && decoder->length > 0 && decode(decoder, &frame);
            decoder->length = 0;
            decoder->oversize = false;
            if (good) {
                callback(user, &frame);
            }
        } else if (!decoder->oversize && decoder->length + 1 < sizeof decoder->buffer) {
            decoder->buffer[decoder->length++] = bytes[i];
        } else if (!decoder->oversize) {
            decoder->oversize = true;
            decoder->counts.oversize++;
        }
    }
}

uint32_t haltere_frame_dropped(const haltere_frame_counts *counts)
{
    return counts->cobs + counts->length + counts->crc + counts->unknown + counts->oversize;
}

size_t haltere_frame_encode(uint8_t id, uint8_t sequence, uint32_t time_us, const uint8_t *payload,
                            uint8_t *out)
{
    uint8_t body[HALTERE_FRAME_HEADER_SIZE + HALTERE_MAX_PAYLOAD_SIZE + HALTERE_FRAME_CRC_SIZE];
    int payload_size = haltere_payload_size(id);
    if (payload_size < 0) {
        return 0;
    }
    size_t size = HALTERE_FRAME_HEADER_SIZE + (size_t)payload_size;
    body[0] = id;
    body[1] = sequence;
    haltere_put_u32(body + 2, time_us);
    memcpy(body + HALTERE_FRAME_HEADER_SIZE, payload, (size_t)payload_size);
    haltere_put_u32(body + size, crc32(body, size));
    size_t written = cobs_encode(body, size + HALTERE_FRAME_CRC_SIZE, out);
    out[written++] = 0;
    return written;
}
