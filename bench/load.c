/* load: many viewers of server-sent events in one thread, and a publisher in another. Linux, C11, no libraries.
 *
 * It checks that each viewer received each event once, in order and byte for byte. The latency of an event runs from
 * the moment when it was due (with --rate) or was written to the kernel (without) to the read that completed it at the
 * viewer, so a server or publisher that falls behind has a higher latency. CPU is the CPU time of the processes in
 * --pids, from the first publish (with --preload: the first connection) to the last event at the last viewer. It prints
 * one JSON object to standard output. The exit status is 1 if a viewer received anything wrong or not everything.
 *
 * It does not check the protocol: it skips events that it did not publish, such as pings and viewer counts.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define LINES 8 /* connections for publishing; each waits for its responses */
#define MOST_GROUPS 4
#define MOST_PIDS 64
#define READ_BYTES (256 * 1024)
#define SETTLE_NS (NS / 2)

static struct {
    const char *path, *publish, *send, *id_prefix;
    int port, publish_port;
    int streams, viewers, events, preload, payload, stalled, together;
    double rate, within_s;
    bool in_flight;
} ask = {.streams = 1, .viewers = 1, .events = 500, .payload = 225, .together = 200, .within_s = 30, .rate = 50};

static void fail(const char *what) {
    fprintf(stderr, "load: %s\n", what);
    exit(2);
}

static void fail_system(const char *what) {
    perror(what);
    exit(2);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

static void sleep_until(int64_t at) {
    struct timespec t = {.tv_sec = at / NS, .tv_nsec = at % NS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

/* ---- The payload: a chunk whose text contains its stream and number, so that no copy is needed to check it. */

static char payload[1 << 20];
static size_t payload_size, number_at; /* "SSSS NNNNNNN" */

static void make_payload(void) {
    const char *head = "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,"
                       "\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
    const char *tail = "\"},\"logprobs\":null,\"finish_reason\":null}]}";
    size_t least = strlen(head) + 12 + strlen(tail), fill = (size_t)ask.payload > least ? ask.payload - least : 0;
    if (least + fill >= sizeof payload) fail("--payload is too large");
    number_at = strlen(head);
    memcpy(payload, head, number_at);
    memcpy(payload + number_at, "0000 0000000", 12);
    memset(payload + number_at + 12, 'x', fill);
    strcpy(payload + number_at + 12 + fill, tail);
    payload_size = least + fill;
}

static void put_digits(char *at, int digits, int value) {
    while (digits--) {
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

static int take_digits(const char *at, int digits) {
    int value = 0;
    while (digits--) {
        if (*at < '0' || *at > '9') return -1;
        value = value * 10 + *at++ - '0';
    }
    return value;
}

/* ---- CPU and memory of the processes under test. */

static struct {
    char name[32];
    pid_t pids[MOST_PIDS];
    int count;
    int64_t cpu_before, cpu_after;
    long pss_before, pss_joined, pss_after;
} groups[MOST_GROUPS];
static int group_count;

static void add_group(char *text) { /* name=pid,pid */
    char *equals = strchr(text, '=');
    if (!equals || group_count == MOST_GROUPS) fail("--pids is NAME=PID,PID, a few times");
    *equals = 0;
    snprintf(groups[group_count].name, sizeof groups[0].name, "%s", text);
    for (char *pid = strtok(equals + 1, ","); pid; pid = strtok(NULL, ","))
        if (groups[group_count].count < MOST_PIDS) groups[group_count].pids[groups[group_count].count++] = atoi(pid);
    group_count++;
}

static int64_t cpu_of(int group) {
    int64_t sum = 0;
    for (int i = 0; i < groups[group].count; i++) {
        clockid_t clock;
        struct timespec t;
        if (!clock_getcpuclockid(groups[group].pids[i], &clock) && !clock_gettime(clock, &t)) sum += t.tv_sec * NS + t.tv_nsec;
    }
    return sum;
}

static long pss_of(int group) { /* bytes; memory that processes share is divided among them */
    long sum = 0;
    for (int i = 0; i < groups[group].count; i++) {
        char name[64], line[256];
        snprintf(name, sizeof name, "/proc/%d/smaps_rollup", groups[group].pids[i]);
        FILE *file = fopen(name, "r");
        long kilobytes;
        while (file && fgets(line, sizeof line, file))
            if (sscanf(line, "Pss: %ld", &kilobytes) == 1) sum += kilobytes * 1024;
        if (file) fclose(file);
    }
    return sum;
}

/* ---- Publishing. */

static int64_t *due; /* by event and stream; set when the event is published */
static _Atomic int64_t first_published;

static int64_t *due_of(int stream, int number) { return &due[(size_t)(number - 1) * ask.streams + stream]; }

static struct line {
    int fd;
    char out[1 << 18], in[1 << 14];
    size_t out_size, in_size;
    bool waits;
} lines[LINES];

static int open_tcp(int port, bool blocking) {
    int fd = socket(AF_INET, SOCK_STREAM | (blocking ? 0 : SOCK_NONBLOCK), 0), on = 1;
    if (fd < 0) fail_system("load: " "socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (blocking && connect(fd, (struct sockaddr *)&to, sizeof to)) fail_system("load: " "connect");
    if (!blocking && connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static void flush_line(struct line *line) {
    size_t sent = 0;
    char waste[1 << 16];
    while (sent < line->out_size) {
        ssize_t n = send(line->fd, line->out + sent, line->out_size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) sent += (size_t)n;
        else if (errno == EAGAIN) poll(&(struct pollfd){.fd = line->fd, .events = POLLIN | POLLOUT}, 1, 100);
        else fail_system("load: " "publishing");
        /* Read and discard responses, so that the server can continue. If a publish fails, the viewers lack an event. */
        if (*ask.publish != 'h')
            while (recv(line->fd, waste, sizeof waste, MSG_DONTWAIT) > 0) {}
    }
    line->out_size = 0;
}

static void await_answer(struct line *line) { /* reads one HTTP response that has a Content-Length */
    while (line->waits) {
        line->in[line->in_size] = 0;
        char *body = strstr(line->in, "\r\n\r\n"), *length = strcasestr(line->in, "\r\ncontent-length:");
        if (body && line->in_size >= (size_t)(body + 4 - line->in) + (length && length < body ? atoi(length + 17) : 0)) {
            if (strncmp(line->in, "HTTP/1.1 2", 10)) fail("publishing was refused");
            line->waits = false;
            line->in_size = 0;
            return;
        }
        ssize_t n = recv(line->fd, line->in + line->in_size, sizeof line->in - 1 - line->in_size, 0);
        if (n <= 0) fail("publishing: no answer");
        line->in_size += (size_t)n;
    }
}

/* Copies `text` to `out` and replaces %i (stream), %n (number), %p (payload) and %l (length of the payload). */
static char *fill_in(char *out, const char *text, const char *end, int stream, int number) {
    for (; text < end; text++) {
        if (*text != '%' || text + 1 == end) *out++ = *text;
        else if (*++text == 'i') out += sprintf(out, "%d", stream);
        else if (*text == 'n') out += sprintf(out, "%d", number);
        else if (*text == 'l') out += sprintf(out, "%zu", payload_size);
        else if (*text == 'p') {
            memcpy(out, payload, payload_size);
            put_digits(out + number_at, 4, stream);
            put_digits(out + number_at + 5, 7, number);
            out += payload_size;
        } else *out++ = *text;
    }
    return out;
}

static void write_redis(struct line *line, int stream, int number) { /* tabs separate the arguments */
    static char argument[1 << 20];
    char *out = line->out + line->out_size;
    int count = 1;
    for (const char *c = ask.send; *c; c++) count += *c == '\t';
    out += sprintf(out, "*%d\r\n", count);
    for (const char *from = ask.send, *to; from; from = *to ? to + 1 : NULL) {
        to = strchrnul(from, '\t');
        size_t size = (size_t)(fill_in(argument, from, to, stream, number) - argument);
        out += sprintf(out, "$%zu\r\n", size);
        memcpy(out, argument, size);
        out += size;
        out = stpcpy(out, "\r\n");
    }
    line->out_size = (size_t)(out - line->out);
}

static void publish(int first, int last, double rate) {
    bool http = *ask.publish == 'h';
    int64_t began = now() + NS / 100;
    for (int number = first; number <= last; number++)
        for (int stream = 0; stream < ask.streams; stream++) {
            struct line *line = &lines[http ? stream % LINES : 0];
            int64_t at = now();
            if (rate > 0) {
                at = began + (int64_t)(((number - first) + (double)stream / ask.streams) / rate * NS);
                if (at > now()) {
                    flush_line(line);
                    sleep_until(at);
                }
            }
            if (http) await_answer(line);
            *due_of(stream, number) = at;
            if (!first_published) first_published = at;
            if (*ask.publish == 'r') write_redis(line, stream, number);
            else line->out_size = (size_t)(fill_in(line->out + line->out_size, ask.send, strchr(ask.send, 0), stream, number) - line->out);
            line->waits = http;
            if (http || line->out_size + payload_size + 4096 > 1 << 17) flush_line(line);
        }
    for (int i = 0; i < (http ? LINES : 1); i++) {
        flush_line(&lines[i]);
        await_answer(&lines[i]);
    }
}

static void *publish_the_rest(void *nothing) {
    /* A higher priority, so that busy viewers do not delay the publisher. Without the permission, latencies increase. */
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
    publish(ask.preload + 1, ask.events, ask.rate);
    return nothing;
}

/* ---- Viewers. */

enum state { CONNECTING, HEAD, PLAIN, CHUNK_SIZE, CHUNK, CHUNK_END, CLOSED };

static struct viewer {
    int fd, stream, next;
    enum state state;
    bool is_stalled;
    size_t chunk_left, rest_size, rest_room;
    int64_t asked;
    char *rest; /* an incomplete event or head */
} *viewers;

static int poller, total, opened, joined, whole, closed;
static long delivered, notes, wrong, reads;
static uint32_t *latencies; /* microseconds */
static size_t latency_count;

static void listen_to(struct viewer *viewer, uint32_t events, int how) {
    struct epoll_event wanted = {.events = events, .data.ptr = viewer};
    if (epoll_ctl(poller, how, viewer->fd, &wanted)) fail_system("load: " "epoll");
}

static void connect_viewer(struct viewer *viewer) {
    viewer->fd = open_tcp(ask.port, false);
    if (viewer->fd < 0) fail_system("load: " "connect");
    int small = 4096;
    if (viewer->is_stalled) setsockopt(viewer->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    viewer->next = 1;
    viewer->state = CONNECTING;
    listen_to(viewer, EPOLLOUT, EPOLL_CTL_ADD);
    opened++;
}

static void send_request(struct viewer *viewer) {
    char text[1024], *end = text + sprintf(text, "GET ");
    end = fill_in(end, ask.path, strchr(ask.path, 0), viewer->stream, 0);
    end += sprintf(end, " HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n");
    if (send(viewer->fd, text, (size_t)(end - text), MSG_NOSIGNAL) != end - text) fail_system("load: " "asking");
    viewer->asked = now();
    viewer->state = HEAD;
    listen_to(viewer, EPOLLIN, EPOLL_CTL_MOD);
}

static void close_viewer(struct viewer *viewer) {
    close(viewer->fd);
    viewer->state = CLOSED;
    closed++;
}

static bool is_ours(const char *data, size_t size, int stream, int number) {
    return size == payload_size && take_digits(data + number_at, 4) == stream && take_digits(data + number_at + 5, 7) == number
        && !memcmp(data, payload, number_at) && data[number_at + 4] == ' '
        && !memcmp(data + number_at + 12, payload + number_at + 12, payload_size - number_at - 12);
}

static void take_event(struct viewer *viewer, const char *data, size_t size, const char *id, size_t id_size, int64_t at) {
    if (size < 20 || memcmp(data, payload, 20)) {
        notes++;
        return;
    }
    size_t prefix = ask.id_prefix ? strlen(ask.id_prefix) : 0;
    bool id_fits = !ask.id_prefix || (id_size > prefix && !memcmp(id, ask.id_prefix, prefix) && atoi(id + prefix) == viewer->next);
    if (viewer->next > ask.events || !id_fits || !is_ours(data, size, viewer->stream, viewer->next)) {
        wrong++;
        return;
    }
    int64_t since = *due_of(viewer->stream, viewer->next);
    if (since >= viewer->asked) latencies[latency_count++] = (uint32_t)((at - since) / 1000);
    delivered++;
    if (viewer->next++ == ask.events) whole++;
}

/* Handles all complete events in `text`, and returns their length. */
static size_t take_text(struct viewer *viewer, const char *text, size_t size, int64_t at) {
    const char *from = text, *line = text, *end = text + size, *data = NULL, *id = NULL, *next;
    size_t data_size = 0, id_size = 0;
    for (; line < end && (next = memchr(line, '\n', (size_t)(end - line))); line = next + 1) {
        size_t length = (size_t)(next - line);
        if (length && line[length - 1] == '\r') length--;
        if (!length) {
            if (data) take_event(viewer, data, data_size, id, id_size, at);
            data = id = NULL;
            id_size = 0;
            from = next + 1;
        } else if (length >= 5 && !memcmp(line, "data:", 5)) {
            int blank = length > 5 && line[5] == ' ';
            if (data) wrong++;
            data = line + 5 + blank;
            data_size = length - 5 - (size_t)blank;
        } else if (length > 4 && !memcmp(line, "id: ", 4)) {
            id = line + 4;
            id_size = length - 4;
        }
    }
    return (size_t)(from - text);
}

static void keep(struct viewer *viewer, const char *text, size_t size) {
    if (viewer->rest_size + size + 1 > viewer->rest_room) {
        viewer->rest_room = (viewer->rest_size + size) * 2 + 512;
        if (!(viewer->rest = realloc(viewer->rest, viewer->rest_room))) fail_system("load: " "memory");
    }
    memcpy(viewer->rest + viewer->rest_size, text, size);
    viewer->rest_size += size;
    viewer->rest[viewer->rest_size] = 0;
}

static void take_body(struct viewer *viewer, const char *text, size_t size, int64_t at) {
    if (!viewer->rest_size) {
        size_t taken = take_text(viewer, text, size, at);
        if (taken < size) keep(viewer, text + taken, size - taken);
        return;
    }
    keep(viewer, text, size);
    size_t taken = take_text(viewer, viewer->rest, viewer->rest_size, at);
    viewer->rest_size -= taken;
    memmove(viewer->rest, viewer->rest + taken, viewer->rest_size);
}

/* Reads the received part of the head. Returns how many bytes of `text` it consumed. */
static size_t take_head(struct viewer *viewer, const char *text, size_t size) {
    size_t had = viewer->rest_size;
    keep(viewer, text, size);
    char *end = strstr(viewer->rest, "\r\n\r\n");
    if (!end) return size;
    if (strncmp(viewer->rest, "HTTP/1.1 200", 12)) fail("a viewer was refused");
    *end = 0;
    viewer->state = strcasestr(viewer->rest, "\r\ntransfer-encoding: chunked") ? CHUNK_SIZE : PLAIN;
    size_t used = (size_t)(end + 4 - viewer->rest) - had;
    viewer->rest_size = viewer->chunk_left = 0;
    joined++;
    return used;
}

static void take(struct viewer *viewer, const char *text, size_t size, int64_t at) {
    const char *end = text + size;
    while (text < end && viewer->state != CLOSED) {
        size_t left = (size_t)(end - text), n;
        switch (viewer->state) {
        case HEAD:
            text += take_head(viewer, text, left);
            break;
        case PLAIN:
            take_body(viewer, text, left, at);
            return;
        case CHUNK_SIZE: /* hexadecimal digits up to the end of the line */
            if (*text == '\n') {
                if (!viewer->chunk_left) return close_viewer(viewer);
                viewer->state = CHUNK;
            } else if (*text != '\r') {
                int digit = *text <= '9' ? *text - '0' : (*text | 32) - 'a' + 10;
                if (digit < 0 || digit > 15) wrong++;
                viewer->chunk_left = viewer->chunk_left * 16 + (size_t)digit;
            }
            text++;
            break;
        case CHUNK:
            n = left < viewer->chunk_left ? left : viewer->chunk_left;
            take_body(viewer, text, n, at);
            text += n;
            if (!(viewer->chunk_left -= n)) viewer->state = CHUNK_END;
            break;
        default:
            if (*text++ == '\n') viewer->state = CHUNK_SIZE;
        }
    }
}

static void receive(struct viewer *viewer) {
    static char buffer[READ_BYTES];
    enum state before = viewer->state;
    ssize_t n = recv(viewer->fd, buffer, sizeof buffer, 0);
    reads++;
    if (n > 0) take(viewer, buffer, (size_t)n, now());
    else if (n == 0 || errno != EAGAIN) close_viewer(viewer);
    /* A stalled viewer reads nothing after the head. */
    if (viewer->is_stalled && before == HEAD && viewer->state > HEAD && viewer->state != CLOSED) listen_to(viewer, 0, EPOLL_CTL_MOD);
}

static void turn(int wait_ms) {
    struct epoll_event events[256];
    int n = epoll_wait(poller, events, 256, wait_ms);
    for (int i = 0; i < n; i++) {
        struct viewer *viewer = events[i].data.ptr;
        if (viewer->state == CONNECTING) send_request(viewer);
        else if (viewer->state != CLOSED) receive(viewer);
    }
}

static void join_all(int64_t deadline) {
    while (joined < total && now() < deadline) {
        while (opened < total && opened - joined < ask.together) connect_viewer(&viewers[opened]);
        turn(10);
    }
    if (joined < total) fail("not all viewers could join in time");
}

static void wait_for(int count, int64_t deadline) {
    while (whole < count && now() < deadline && closed < total) turn(50);
}

/* The stalled viewers read again, with a receive buffer of normal size. */
static void unstall(void) {
    int usual = 1 << 18;
    for (int i = 0; i < ask.stalled; i++) {
        if (viewers[i].state == CLOSED) continue;
        setsockopt(viewers[i].fd, SOL_SOCKET, SO_RCVBUF, &usual, sizeof usual);
        listen_to(&viewers[i], EPOLLIN, EPOLL_CTL_MOD);
    }
}

/* ---- */

static int by_size(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static double latency_ms(double share) {
    return latency_count ? latencies[(size_t)(share * (double)(latency_count - 1))] / 1000.0 : 0;
}

static void read_arguments(int count, char **words) {
    static const char *names[] = {"port", "path", "publish", "publish-port", "send", "id-prefix", "streams", "viewers", "events",
        "preload", "payload", "stalled", "together", "rate", "within", "in-flight", "pids", NULL};
    for (int i = 1; i < count; i++) {
        int name = 0;
        while (names[name] && strcmp(words[i] + 2, names[name])) name++;
        const char *value = name == 15 ? "" : i + 1 < count ? words[++i] : NULL;
        if (!names[name] || !value) {
            fprintf(stderr, "load: %s is unknown or lacks its value\n", words[i]);
            exit(2);
        }
        int *numbers[] = {&ask.port, 0, 0, &ask.publish_port, 0, 0, &ask.streams, &ask.viewers, &ask.events, &ask.preload,
            &ask.payload, &ask.stalled, &ask.together};
        switch (name) {
        case 1: ask.path = value; break;
        case 2: ask.publish = value; break;
        case 4: ask.send = value; break;
        case 5: ask.id_prefix = value; break;
        case 13: ask.rate = atof(value); break;
        case 14: ask.within_s = atof(value); break;
        case 15: ask.in_flight = true; break;
        case 16: add_group((char *)value); break;
        default: *numbers[name] = atoi(value);
        }
    }
    if (!ask.path || !ask.publish || !ask.send) fail("--path, --publish (redis, http or tcp) and --send are needed");
}

int main(int count, char **words) {
    read_arguments(count, words);
    make_payload();
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    total = ask.streams * ask.viewers;
    viewers = calloc((size_t)total, sizeof *viewers);
    due = calloc((size_t)ask.streams * ask.events + 1, sizeof *due);
    latencies = calloc((size_t)total * ask.events + 1, sizeof *latencies);
    poller = epoll_create1(0);
    for (int i = 0; i < total; i++) {
        viewers[i].stream = i % ask.streams;
        viewers[i].is_stalled = i < ask.stalled;
    }
    for (int i = 0; ask.events && i < (*ask.publish == 'h' ? LINES : 1); i++) lines[i].fd = open_tcp(ask.publish_port, true);
    if (ask.preload) {
        publish(1, ask.preload, 0);
        sleep_until(now() + SETTLE_NS);
    }

    for (int g = 0; g < group_count; g++) {
        groups[g].cpu_before = cpu_of(g);
        groups[g].pss_before = pss_of(g);
    }
    int64_t began = now(), deadline = began + (int64_t)(ask.within_s * NS), own_before = clock();
    pthread_t publisher;
    bool publishes = ask.events > ask.preload;
    if (ask.in_flight) pthread_create(&publisher, NULL, publish_the_rest, NULL);
    join_all(deadline);
    double join_s = (double)(now() - began) / NS;
    if (!ask.preload) {
        for (int64_t until = now() + (ask.events ? SETTLE_NS : 3 * NS); now() < until;) turn(20);
        for (int g = 0; g < group_count; g++) {
            groups[g].cpu_before = cpu_of(g);
            groups[g].pss_joined = pss_of(g);
        }
        began = now();
        own_before = clock();
    }
    if (publishes && !ask.in_flight) pthread_create(&publisher, NULL, publish_the_rest, NULL);
    if (ask.events) wait_for(total - ask.stalled, deadline);
    int64_t ended = now(), own = clock() - own_before;
    for (int g = 0; g < group_count; g++) {
        groups[g].cpu_after = cpu_of(g);
        groups[g].pss_after = pss_of(g);
    }
    long counted = delivered, counted_reads = reads;
    size_t counted_latencies = latency_count;
    if (ask.stalled) {
        unstall();
        wait_for(total, now() + 60 * NS);
    }
    /* Data after the last event is an error too. */
    for (int64_t until = now() + SETTLE_NS; ask.events && now() < until && closed < total;) turn(20);
    bool correct = !wrong && (!ask.events || whole == total);
    /* If events are missing, the publisher may wait for a dead server for ever: exit without joining its thread. */
    if (publishes && correct) pthread_join(publisher, NULL);

    double wall_s = (double)(ended - (ask.preload ? began : first_published ? first_published : began)) / NS;
    latency_count = counted_latencies;
    qsort(latencies, latency_count, sizeof *latencies, by_size);
    printf("{\"correct\":%s,\"viewers\":%d,\"whole\":%d,\"delivered\":%ld,\"wrong\":%ld,\"notes\":%ld,\"closed\":%d,\"join_s\":%.3f,"
           "\"wall_s\":%.4f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"client_share\":%.2f,\"reads\":%ld,\"groups\":{",
        correct ? "true" : "false", total, whole, counted, wrong, notes, closed, join_s, wall_s, latency_ms(0.5), latency_ms(0.99),
        latency_ms(1), (double)own / CLOCKS_PER_SEC / wall_s, counted_reads);
    for (int g = 0; g < group_count; g++)
        printf("%s\"%s\":{\"cpu_us\":%.1f,\"pss_before\":%ld,\"pss_joined\":%ld,\"pss_after\":%ld}", g ? "," : "", groups[g].name,
            (double)(groups[g].cpu_after - groups[g].cpu_before) / 1000, groups[g].pss_before, groups[g].pss_joined, groups[g].pss_after);
    printf("}}\n");
    return !correct;
}
