/* Frames: COBS( id u8, sequence u8, time_us u32, payload, crc32 u32 ) 0x00. No heap; see PROTOCOL.md. */
#ifndef HALTERE_FRAME_H
#define HALTERE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "haltere_messages.h"

/** A good frame; `payload` has the size that belongs to `id`, and is valid during the callback. */
typedef struct haltere_frame {
    uint8_t id;
    uint8_t sequence;
    uint32_t time_us;
    const uint8_t *payload;
} haltere_frame;

/** What a decoder has seen. All but `received` and `lost` were dropped. */
typedef struct haltere_frame_counts {
    uint32_t received;
    uint32_t lost; /**< missing from the sequence of the good frames */
    uint32_t cobs;
    uint32_t length;
    uint32_t crc;
    uint32_t unknown;
    uint32_t oversize;
} haltere_frame_counts;

typedef struct haltere_frame_decoder {
    haltere_frame_counts counts;
    uint8_t buffer[HALTERE_MAX_WIRE_SIZE];
    size_t length;
    bool oversize;
    bool synchronised;
    uint8_t next_sequence;
} haltere_frame_decoder;

typedef void (*haltere_frame_callback)(void *user, const haltere_frame *frame);

void haltere_frame_decoder_init(haltere_frame_decoder *decoder);

/** Takes received bytes, cut anywhere, and calls back for every good frame that they complete. */
void haltere_frame_feed(haltere_frame_decoder *decoder, const uint8_t *bytes, size_t size,
                        haltere_frame_callback callback, void *user);

/** Returns how many frames were dropped, for whatever reason. */
uint32_t haltere_frame_dropped(const haltere_frame_counts *counts);

/**
 * Writes the frame of a packed message, delimiter included.
 *
 * `out` has room for HALTERE_MAX_WIRE_SIZE bytes. Returns the bytes written, or 0 if the id is unknown.
 */
size_t haltere_frame_encode(uint8_t id, uint8_t sequence, uint32_t time_us, const uint8_t *payload,
                            uint8_t *out);

#endif
