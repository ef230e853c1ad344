/* A plugin for qemu-user: aarch64 instructions, and misses of a modelled data cache, between two marks.
 *
 * A mark is the system call getpriority, which neither Python nor a runtime makes by itself. At every mark one line goes
 * to standard error: "MARK instructions accesses l1_misses l2_misses", counted since the start. With the arguments
 * l1=BYTES/WAYS and l2=BYTES/WAYS every access of data passes through two levels of least-recently-used cache with lines
 * of 64 bytes; without them memory is not watched, which is several times faster. There is no prefetcher in the model,
 * and of an access that crosses lines only the first is looked up: the figures compare files, they predict no time.
 *
 * The declarations are those of qemu's include/qemu/qemu-plugin.h, version 1, which no Debian 12 package installs.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_R = 1, QEMU_PLUGIN_MEM_W, QEMU_PLUGIN_MEM_RW };
typedef struct { const char *target_name; struct { int min, cur; } version; bool system_emulation; } qemu_info_t;
typedef void (*translate_cb)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*syscall_cb)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t, uint64_t);
typedef void (*memory_cb)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translate_cb);
extern void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_cb);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *, uint64_t);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, memory_cb, enum qemu_plugin_cb_flags,
                                             enum qemu_plugin_mem_rw, void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { GETPRIORITY = 141, LINE_BITS = 6 }; /* 141: include/uapi/asm-generic/unistd.h */

struct cache {
    uint64_t sets, ways, misses;
    uint64_t *lines; /* of each set, the most recently used first */
};

static uint64_t instructions, accesses;
static struct cache l1, l2;

/* Look a line up and make it the most recently used one of its set. */
static bool hit(struct cache *cache, uint64_t line)
{
    uint64_t *set = cache->lines + line % cache->sets * cache->ways;
    uint64_t way = 0;
    while (way < cache->ways - 1 && set[way] != line)
        way++;
    bool found = set[way] == line;
    memmove(set + 1, set, way * sizeof *set);
    set[0] = line;
    cache->misses += !found;
    return found;
}

static void memory(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *unused)
{
    uint64_t line = (address >> LINE_BITS) + 1; /* 0 is an empty way */
    accesses++;
    if (!hit(&l1, line))
        hit(&l2, line);
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    size_t count = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &instructions, count);
    for (size_t i = 0; l1.lines && i < count; i++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(block, i), memory, QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_RW, NULL);
}

static void mark(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                 uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    if (number == GETPRIORITY)
        fprintf(stderr, "MARK %llu %llu %llu %llu\n", (unsigned long long)instructions, (unsigned long long)accesses,
                (unsigned long long)l1.misses, (unsigned long long)l2.misses);
}

static bool parse(const char *argument, const char *format, struct cache *cache)
{
    unsigned long long bytes, ways;
    if (sscanf(argument, format, &bytes, &ways) != 2 || !ways || bytes % (ways << LINE_BITS))
        return false;
    *cache = (struct cache){.sets = bytes / (ways << LINE_BITS), .ways = ways};
    return cache->sets && (cache->lines = calloc(cache->sets * ways, sizeof *cache->lines));
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count,
                                                               char **arguments)
{
    for (int i = 0; i < count; i++)
        if (!parse(arguments[i], "l1=%llu/%llu", &l1) && !parse(arguments[i], "l2=%llu/%llu", &l2)) {
            fprintf(stderr, "counter: l1=BYTES/WAYS or l2=BYTES/WAYS expected; found %s\n", arguments[i]);
            return 1;
        }
    if (!l1.lines != !l2.lines) {
        fprintf(stderr, "counter: l1 and l2 must be given together\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_vcpu_syscall_cb(id, mark);
    return 0;
}
