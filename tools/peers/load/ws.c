/* WebSocket (RFC 6455) from the client's side: the answer to the upgrade, frames in, masked frames out. */
#include "load.h"

#include <string.h>

static const uint8_t MASK[4] = {0x5a, 0xc3, 0x19, 0x7e};

void ws_send(struct conn *c, int opcode, const uint8_t *data, size_t size) {
    static uint8_t out[PAYLOAD_MAX + 8];
    size_t at = 2;
    if (size > PAYLOAD_MAX) {
        fail(c, "a message is too long to send");
        return;
    }
    out[0] = (uint8_t)(0x80 | opcode);
    if (size < 126) {
        out[1] = (uint8_t)(0x80 | size);
    } else {
        out[1] = 0x80 | 126;
        out[2] = (uint8_t)(size >> 8);
        out[3] = (uint8_t)size;
        at = 4;
    }
    memcpy(out + at, MASK, 4);
    at += 4;
    for (size_t i = 0; i < size; i++) out[at + i] = data[i] ^ MASK[i & 3];
    put(c, out, at + size);
}

static size_t take_upgrade(struct conn *c, uint8_t *data, size_t size) {
    for (size_t i = 3; i < size; i++) {
        if (memcmp(data + i - 3, "\r\n\r\n", 4)) continue;
        if (size < 12 || memcmp(data + 9, "101", 3)) {
            fail(c, "the upgrade was refused");
            return size;
        }
        opened(c);
        return i + 1;
    }
    return 0;
}

static void control(struct conn *c, int opcode, const uint8_t *data, size_t size) {
    if (opcode == 9) ws_send(c, 10, data, size);
    if (opcode == 8) fail(c, "the server closed");
}

size_t ws_take(struct conn *c, uint8_t *data, size_t size) {
    if (c->stage == OPENING) return take_upgrade(c, data, size);
    size_t at = 2;
    if (size < 2) return 0;
    uint64_t length = data[1] & 127;
    if (length == 126) {
        if (size < 4) return 0;
        length = (uint64_t)data[2] << 8 | data[3];
        at = 4;
    } else if (length == 127) {
        if (size < 10) return 0;
        length = 0;
        for (int i = 2; i < 10; i++) length = length << 8 | data[i];
        at = 10;
    }
    int opcode = data[0] & 15;
    if (size - at >= length) {
        if (opcode >= 8) control(c, opcode, data + at, length);
        else message(c, data + at, length, 1);
        return at + length;
    }
    if (c->sampled || opcode >= 8 || size - at < PEEK) return 0;
    message(c, data + at, size - at, 0);
    c->skip = length - (size - at);
    return size;
}
