/* Many clients in one thread: each sends its pose at a steady rate and reads what the server sends.
 *
 *     load PLAN OUT CORE [LIBSODIUM]
 *
 * PLAN is what to do (struct plan; written by tools/peers/plan.py). On standard output come "ready N", "start NS" and
 * "end NS" as the run goes, then one line of JSON. OUT.seen holds the messages of the sampled clients with the time
 * they came (u32 client, u64 ns, u32 size, bytes), OUT.sent when each pose went out ([client][seq % SENT_RING], u32
 * microseconds since the first line). Nothing is decoded here: that happens after the run, from these files.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 512
#define READ_BYTES (1 << 18)
#define LATE_BINS 512 /* tenths of a millisecond */

struct plan plan;
static struct conn *conns;
static uint32_t *order; /* clients by the part of the period they send in */
static uint32_t *sent_us;
static int poller;
static uint8_t inbox[READ_BYTES];
static FILE *seen;
static uint64_t born_ns, first_due_ns, next_turn;
static uint32_t asked, opening_now, ready_count, closed_count, blocked, measuring;
static uint64_t poses_sent, late[LATE_BINS], seen_bytes;
static char last_failure[160] = "";

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void stop(const char *why) {
    fprintf(stderr, "load: %s\n", why);
    exit(2);
}

/* ---- one connection ---------------------------------------------------------------------------------------------- */

static void watch(struct conn *c, int op, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u32 = c->number};
    epoll_ctl(poller, op, c->fd, &event);
}

void fail(struct conn *c, const char *why) {
    if (c->stage == CLOSED) return;
    if (!c->ready) opening_now--;
    snprintf(last_failure, sizeof last_failure, "client %u: %s", c->number, why);
    close(c->fd);
    c->stage = CLOSED;
    closed_count++;
}

static void flush_unsent(struct conn *c) {
    ssize_t n = send(c->fd, c->unsent, c->unsent_size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) fail(c, strerror(errno));
    if (n <= 0) return;
    c->unsent_size -= (size_t)n;
    memmove(c->unsent, c->unsent + n, c->unsent_size);
    if (!c->unsent_size) watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

void put(struct conn *c, const uint8_t *data, size_t size) {
    ssize_t n = 0;
    if (!c->unsent_size) n = send(c->fd, data, size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        fail(c, strerror(errno));
        return;
    }
    if (n < 0) n = 0;
    if ((size_t)n == size) return;
    c->unsent = realloc(c->unsent, c->unsent_size + size - (size_t)n);
    memcpy(c->unsent + c->unsent_size, data + n, size - (size_t)n);
    c->unsent_size += size - (size_t)n;
    watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void speak(struct conn *c, const uint8_t *data, size_t size) {
    if (plan.framing == WEBSOCKET) ws_send(c, 2, data, size);
    else zmtp_send(c, 0, data, size);
}

void opened(struct conn *c) {
    c->stage = OPEN;
    struct blob hello = plan.hello[c->number];
    if (hello.size) speak(c, hello.at, hello.size);
}

static void record(struct conn *c, const uint8_t *data, size_t size) {
    uint32_t client = c->number, length = (uint32_t)size;
    uint64_t at = now_ns();
    fwrite(&client, 4, 1, seen);
    fwrite(&at, 8, 1, seen);
    fwrite(&length, 4, 1, seen);
    fwrite(data, 1, size, seen);
    seen_bytes += size + 16;
}

void message(struct conn *c, const uint8_t *data, size_t size, int whole) {
    if (!size) return;
    if (c->sampled && (measuring || plan.record_all)) record(c, data, size);
    if (data[0] == plan.reply_to && plan.reply.size) speak(c, plan.reply.at, plan.reply.size);
    if (!plan.view_bytes[data[0]]) return;
    if (!c->ready) {
        c->ready = 1;
        ready_count++;
        opening_now--;
    }
    if (whole) c->views += measuring;
    else c->skip_is_view = 1;
}

static void hold(struct conn *c, const uint8_t *data, size_t size) {
    if (c->held_room < size) c->held = realloc(c->held, c->held_room = size + 4096);
    memcpy(c->held, data, size);
    c->held_size = size;
}

static void take_all(struct conn *c, uint8_t *data, size_t size) {
    while (size && c->stage != CLOSED) {
        size_t taken = plan.framing == WEBSOCKET ? ws_take(c, data, size) : zmtp_take(c, data, size);
        if (!taken) break;
        data += taken;
        size -= taken;
    }
    if (c->stage != CLOSED) hold(c, data, size);
}

static void discard(struct conn *c) {
    size_t want = c->skip < (1u << 20) ? (size_t)c->skip : 1u << 20;
    ssize_t n = recv(c->fd, NULL, want, MSG_TRUNC); /* TCP throws the bytes away without a copy */
    if (n == 0 || (n < 0 && errno != EAGAIN)) fail(c, n ? strerror(errno) : "the server hung up");
    if (n <= 0) return;
    c->bytes += (uint64_t)n * measuring;
    c->skip -= (uint64_t)n;
    if (!c->skip && c->skip_is_view) {
        c->views += measuring;
        c->skip_is_view = 0;
    }
}

static void readable(struct conn *c) {
    if (c->skip) {
        discard(c);
        return;
    }
    size_t kept = c->held_size;
    if (kept >= READ_BYTES) { /* one message larger than the inbox: only sampled clients keep so much */
        static uint8_t *large;
        static size_t room;
        if (room < kept + READ_BYTES) large = realloc(large, room = 2 * kept + READ_BYTES);
        ssize_t n = recv(c->fd, large + kept, READ_BYTES, 0);
        if (n <= 0) return;
        memcpy(large, c->held, kept);
        c->bytes += (uint64_t)n * measuring;
        take_all(c, large, kept + (size_t)n);
        return;
    }
    ssize_t n = recv(c->fd, inbox + kept, READ_BYTES - kept, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) fail(c, n ? strerror(errno) : "the server hung up");
    if (n <= 0) return;
    memcpy(inbox, c->held, kept);
    c->bytes += (uint64_t)n * measuring;
    take_all(c, inbox, kept + (size_t)n);
}

static void connected(struct conn *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        fail(c, strerror(error));
        return;
    }
    c->stage = OPENING;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    if (plan.framing == WEBSOCKET) put(c, plan.opening[c->number].at, plan.opening[c->number].size);
    else zmtp_start(c);
}

static void open_one(uint32_t number) {
    struct conn *c = conns + number;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)plan.port)};
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) stop("no more sockets");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->stage = CONNECTING;
    opening_now++;
    watch(c, EPOLL_CTL_ADD, EPOLLOUT);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) fail(c, strerror(errno));
}

/* ---- poses ------------------------------------------------------------------------------------------------------- */

static void put_seq(uint8_t *at, uint32_t seq) {
    char digits[16];
    switch (plan.seq_mode) {
    case SEQ_LITTLE:
        for (int i = 0; i < 4; i++) at[i] = (uint8_t)(seq >> (8 * i));
        break;
    case SEQ_BIG:
        for (int i = 0; i < 4; i++) at[i] = (uint8_t)(seq >> (24 - 8 * i));
        break;
    default: /* ten digits, the first one a 1 */
        snprintf(digits, sizeof digits, "%010u", 1000000000u + seq);
        memcpy(at, digits, 10);
    }
}

static void send_pose(struct conn *c, uint64_t due_ns) {
    static uint8_t pose[PAYLOAD_MAX];
    if (!c->ready || c->stage != OPEN) return;
    if (c->unsent_size) {
        blocked += measuring;
        return;
    }
    uint32_t seq = ++c->seq;
    struct blob motion = plan.motion[(seq + c->number * plan.motion_stride) % plan.motions];
    memcpy(pose, motion.at, motion.size);
    put_seq(pose + plan.seq_at, seq);
    uint64_t at = now_ns();
    sent_us[(size_t)c->number * SENT_RING + seq % SENT_RING] = (uint32_t)((at - born_ns) / 1000);
    speak(c, pose, motion.size);
    if (!measuring) return;
    poses_sent++;
    uint64_t bin = (at - due_ns) / 100000;
    late[bin < LATE_BINS ? bin : LATE_BINS - 1]++;
}

/* Turn k is client order[k % clients] in period k / clients. */
static void send_due(uint64_t now) {
    uint64_t period_ns = 1000000000000ull / plan.hz_milli;
    for (;;) {
        uint64_t due = first_due_ns + (uint64_t)((double)next_turn * (double)period_ns / plan.clients);
        if (due > now) return;
        send_pose(conns + order[next_turn % plan.clients], due);
        next_turn++;
    }
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static void serve(const struct epoll_event *event) {
    if (event->data.u32 == UINT32_MAX) return;
    struct conn *c = conns + event->data.u32;
    if (c->stage == CLOSED) return;
    if (c->stage == CONNECTING) {
        if (event->events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) connected(c);
        return;
    }
    if (event->events & EPOLLOUT && c->unsent_size) flush_unsent(c);
    if (c->stage != CLOSED && event->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readable(c);
}

static void turn(int timer) {
    static struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, 100);
    uint64_t beats;
    for (int i = 0; i < n; i++) {
        serve(events + i);
        if ((i & 15) == 15) send_due(now_ns());
    }
    if (read(timer, &beats, sizeof beats) < 0 && errno != EAGAIN) stop("the timer stopped");
    while (opening_now < plan.opening_max && asked < plan.clients) open_one(asked++);
    send_due(now_ns());
}

static void run_until(int timer, uint64_t end_ns) {
    while (now_ns() < end_ns) turn(timer);
}

static double cpu_s(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + 1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static double late_ms(double share) {
    uint64_t total = 0, sum = 0;
    for (int i = 0; i < LATE_BINS; i++) total += late[i];
    for (int i = 0; i < LATE_BINS; i++) {
        sum += late[i];
        if ((double)sum >= share * (double)total) return i / 10.0;
    }
    return 0;
}

static void tell(double seconds, double cpu) {
    uint64_t views = 0, bytes = 0;
    uint32_t fewest = UINT32_MAX;
    for (uint32_t i = 0; i < plan.clients; i++) {
        views += conns[i].views;
        bytes += conns[i].bytes;
        if (conns[i].views < fewest) fewest = conns[i].views;
    }
    printf("{\"clients\": %u, \"ready\": %u, \"closed\": %u, \"seconds\": %.6f, \"views\": %llu, \"fewest_views\": %u, "
           "\"bytes\": %llu, \"poses\": %llu, \"blocked\": %u, \"late_p50_ms\": %.1f, \"late_p99_ms\": %.1f, "
           "\"cpu_s\": %.3f, \"born_ns\": %llu, \"failure\": \"%s\"}\n",
           plan.clients, ready_count, closed_count, seconds, (unsigned long long)views, fewest, (unsigned long long)bytes,
           (unsigned long long)poses_sent, blocked, late_ms(0.5), late_ms(0.99), cpu, (unsigned long long)born_ns,
           last_failure);
}

static void run(int timer) {
    uint64_t patience = now_ns() + (uint64_t)plan.patience_ms * 1000000u;
    while (ready_count + closed_count < plan.clients && now_ns() < patience) turn(timer);
    printf("ready %u\n", ready_count);
    run_until(timer, now_ns() + (uint64_t)plan.warm_ms * 1000000u);
    measuring = 1;
    double cpu = cpu_s();
    uint64_t start = now_ns();
    printf("start %llu\n", (unsigned long long)start);
    run_until(timer, start + (uint64_t)plan.run_ms * 1000000u);
    measuring = 0;
    uint64_t end = now_ns();
    printf("end %llu\n", (unsigned long long)end);
    tell((double)(end - start) / 1e9, cpu_s() - cpu);
}

/* ---- setting up -------------------------------------------------------------------------------------------------- */

static const uint8_t *reading, *plan_end;

static uint32_t word(void) {
    uint32_t value;
    if (reading + 4 > plan_end) stop("the plan ends early");
    memcpy(&value, reading, 4);
    reading += 4;
    return value;
}

static struct blob piece(void) {
    struct blob out = {NULL, word()};
    if (out.size > (size_t)(plan_end - reading)) stop("the plan ends early");
    out.at = reading;
    reading += out.size;
    return out;
}

static struct blob *pieces(uint32_t count) {
    struct blob *out = calloc(count, sizeof *out);
    for (uint32_t i = 0; i < count; i++) out[i] = piece();
    return out;
}

static void read_plan(const char *path) {
    struct stat about;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &about)) stop("no such plan");
    reading = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    plan_end = reading + about.st_size;
    uint32_t *fields[] = {&plan.framing, &plan.port, &plan.clients, &plan.hz_milli, &plan.warm_ms, &plan.run_ms,
                          &plan.patience_ms, &plan.opening_max, &plan.motions, &plan.motion_stride, &plan.seq_mode,
                          &plan.seq_at, &plan.sample_every, &plan.record_all, &plan.reply_to};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) *fields[i] = word();
    struct blob views = piece();
    for (uint32_t i = 0; i < views.size; i++) plan.view_bytes[views.at[i]] = 1;
    plan.server_key = piece();
    plan.reply = piece();
    plan.motion = pieces(plan.motions);
    plan.opening = pieces(plan.clients);
    plan.hello = pieces(plan.clients);
    if (!plan.clients || !plan.motions || !plan.sample_every || !plan.hz_milli) stop("the plan holds a zero");
    if (plan.framing == ZMTP_CURVE && plan.server_key.size != 32) stop("a CURVE key has 32 bytes");
    for (uint32_t i = 0; i < plan.motions; i++)
        if (plan.motion[i].size > PAYLOAD_MAX || plan.motion[i].size < plan.seq_at + 4) stop("a pose of a wrong size");
}

/* Neighbours, who are in the same room, send at different times: a stride near the golden ratio of the period. */
static void spread(void) {
    uint32_t stride = (uint32_t)(plan.clients * 0.6180339887) | 1, a, b;
    for (;; stride += 2) {
        for (a = stride, b = plan.clients; b; ) {
            uint32_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1) break;
    }
    order = calloc(plan.clients, sizeof *order);
    for (uint32_t i = 0; i < plan.clients; i++) order[(uint64_t)i * stride % plan.clients] = i;
}

static int make_timer(void) {
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec beat = {{0, 500000}, {0, 500000}};
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    timerfd_settime(timer, 0, &beat, NULL);
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event);
    return timer;
}

static FILE *output(const char *stem, const char *suffix) {
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", stem, suffix);
    FILE *file = fopen(path, "wb");
    if (!file) stop("cannot write beside OUT");
    return file;
}

int main(int argc, char **argv) {
    if (argc < 4) stop("load PLAN OUT CORE [LIBSODIUM]");
    cpu_set_t core;
    CPU_ZERO(&core);
    CPU_SET(atoi(argv[3]), &core);
    if (atoi(argv[3]) >= 0 && sched_setaffinity(0, sizeof core, &core)) stop("cannot be pinned to that core");
    read_plan(argv[1]);
    if (plan.framing == ZMTP_CURVE && (argc < 5 || zmtp_load(argv[4]))) stop("libsodium cannot be loaded");
    struct rlimit files = {plan.clients + 64, plan.clients + 64}, have;
    getrlimit(RLIMIT_NOFILE, &have);
    files.rlim_max = have.rlim_max;
    if (have.rlim_cur < files.rlim_cur && setrlimit(RLIMIT_NOFILE, &files)) stop("too few open files allowed");
    setvbuf(stdout, NULL, _IOLBF, 0);
    seen = output(argv[2], "seen");
    setvbuf(seen, NULL, _IOFBF, 1 << 20);
    conns = calloc(plan.clients, sizeof *conns);
    sent_us = calloc((size_t)plan.clients * SENT_RING, sizeof *sent_us);
    if (!conns || !sent_us) stop("too little memory");
    for (uint32_t i = 0; i < plan.clients; i++) {
        conns[i].number = i;
        conns[i].sampled = i % plan.sample_every == 0;
    }
    spread();
    poller = epoll_create1(0);
    int timer = make_timer();
    born_ns = first_due_ns = now_ns();
    run(timer);
    fclose(seen);
    FILE *sent = output(argv[2], "sent");
    fwrite(sent_us, sizeof *sent_us, (size_t)plan.clients * SENT_RING, sent);
    fclose(sent);
    return 0;
}
