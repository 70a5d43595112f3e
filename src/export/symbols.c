/* Names code addresses: first by the .dynsym that lies in memory, then by the .symtab of the file
 * on disk, when that is still the file that was loaded. Files are read, never mapped: a mapping of
 * a file that is cut short is a SIGBUS in the host. Knows no spans. Exporter thread only. */
#include "export/symbols.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/utf8.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CACHE_SIZE    256u
#define NAME_MAX_SIZE 1024u /* of a mangled name */
#define READ_SYMBOLS  1024u /* at a time */
#define SYMBOLS_LIMIT (1u << 24)
#define PHDR_MAX      64u
#define OWN_MODULE    "libotelshim.so"

/* A frame on its way to a text. */
struct frame {
    struct shim_symbol *symbol;
    uintptr_t bias;           /* of its module; 0 can be right */
    uintptr_t vaddr;          /* within the module's file */
    unsigned module;          /* 0: in none, else a number that frames of one module share */
    ElfW(Addr) value;         /* of the symbol found */
    char name[NAME_MAX_SIZE]; /* "" : not found yet */
    char path[PATH_MAX];      /* of the module */
};

struct search {
    struct frame *frame;
    unsigned count;
    unsigned module;
    unsigned long long adds; /* modules ever loaded and unloaded */
    unsigned long long subs;
};

/* Texts of earlier calls; only good while no module came or went. */
static struct {
    uintptr_t address;
    bool own;
    char text[SHIM_SYMBOL_TEXT];
} cache[CACHE_SIZE];
static unsigned long long cache_adds;
static unsigned long long cache_subs;

/* The return address of a call that never returns lies behind its function, hence the - 1. */
static bool covers(const ElfW(Sym) * sym, uintptr_t vaddr)
{
    unsigned type = ELF64_ST_TYPE(sym->st_info);

    return (type == STT_FUNC || type == STT_GNU_IFUNC) && sym->st_shndx != SHN_UNDEF &&
           vaddr - 1 >= sym->st_value && vaddr - 1 - sym->st_value < sym->st_size;
}

/* Of several names for one address: the innermost, then the one that is not internal. */
static bool is_better(const struct frame *frame, ElfW(Addr) value, const char *name)
{
    if (!frame->name[0] || value != frame->value)
        return !frame->name[0] || value > frame->value;
    return frame->name[0] == '_' && name[0] != '_';
}

static void take_name(struct frame *frame, ElfW(Addr) value, const char *name)
{
    if (!name[0] || !is_better(frame, value, name))
        return;
    frame->value = value;
    snprintf(frame->name, sizeof(frame->name), "%s", name);
}

/* How many symbols there are is only in the hash tables: the end of the last chain. */
static uint32_t count_by_gnu_hash(const uint32_t *table)
{
    uint32_t buckets = table[0];
    uint32_t offset = table[1];
    const uint32_t *bucket = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t *chain = bucket + buckets;
    uint32_t last = 0;

    for (uint32_t i = 0; i < buckets; i++) {
        if (bucket[i] > last)
            last = bucket[i];
    }
    if (last < offset)
        return 0;
    while (!(chain[last - offset] & 1))
        last++;
    return last + 1;
}

struct dynamic {
    const ElfW(Sym) * sym;
    const char *str;
    size_t str_size;
    uint32_t count;
};

/* glibc relocates the pointers in place, but not those of the vdso. */
static const void *dynamic_pointer(const struct dl_phdr_info *info, const ElfW(Dyn) * entry)
{
    uintptr_t value = entry->d_un.d_ptr;
    return (const void *)(value < info->dlpi_addr ? value + info->dlpi_addr : value);
}

static bool find_dynamic(const struct dl_phdr_info *info, struct dynamic *ret_dynamic)
{
    struct dynamic found = {0};
    const ElfW(Dyn) *entry = NULL;

    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            entry = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    }
    for (; entry && entry->d_tag != DT_NULL; entry++) {
        const void *pointer = dynamic_pointer(info, entry);
        if (entry->d_tag == DT_SYMTAB)
            found.sym = pointer;
        else if (entry->d_tag == DT_STRTAB)
            found.str = pointer;
        else if (entry->d_tag == DT_STRSZ)
            found.str_size = entry->d_un.d_val;
        else if (entry->d_tag == DT_HASH)
            found.count = ((const uint32_t *)pointer)[1];
        else if (entry->d_tag == DT_GNU_HASH && found.count == 0)
            found.count = count_by_gnu_hash(pointer);
    }
    *ret_dynamic = found;
    return found.sym && found.str && found.count > 0;
}

static bool module_covers(const struct dl_phdr_info *info, uintptr_t address)
{
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + phdr->p_vaddr;
        if (phdr->p_type == PT_LOAD && (phdr->p_flags & PF_X) && address >= begin &&
            address - begin < phdr->p_memsz)
            return true;
    }
    return false;
}

static void name_by_dynamic(const struct dl_phdr_info *info, struct frame *frame, unsigned count,
                            unsigned module)
{
    struct dynamic dynamic;

    if (!find_dynamic(info, &dynamic))
        return;
    for (uint32_t s = 0; s < dynamic.count; s++) {
        const ElfW(Sym) *sym = &dynamic.sym[s];
        for (unsigned i = 0; i < count; i++) {
            if (frame[i].module == module && covers(sym, frame[i].vaddr) &&
                sym->st_name < dynamic.str_size)
                take_name(&frame[i], sym->st_value, dynamic.str + sym->st_name);
        }
    }
}

/* Runs under the dynamic linker's lock, so the module stays while its memory is read. */
static int visit_module(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    bool wanted = false;

    if (size >= offsetof(struct dl_phdr_info, dlpi_subs) + sizeof(info->dlpi_subs)) {
        search->adds = info->dlpi_adds;
        search->subs = info->dlpi_subs;
    }
    search->module++;
    for (unsigned i = 0; i < search->count; i++) {
        struct frame *frame = &search->frame[i];
        if (frame->module > 0 || !module_covers(info, frame->symbol->address - 1))
            continue;
        frame->module = search->module;
        frame->bias = info->dlpi_addr;
        frame->vaddr = frame->symbol->address - info->dlpi_addr;
        snprintf(frame->path, sizeof(frame->path), "%s", info->dlpi_name);
        wanted = true;
    }
    if (wanted)
        name_by_dynamic(info, search->frame, search->count, search->module);
    return 0;
}

static bool read_at(int fd, void *memory, size_t len, uint64_t offset)
{
    return offset <= INT64_MAX && pread(fd, memory, len, (off_t)offset) == (ssize_t)len;
}

/* Whether the file has the program headers, and the build id, of the module in memory. */
struct identity {
    int fd;
    const ElfW(Ehdr) * header;
    uintptr_t address; /* of code in the module */
    bool same;
};

static bool is_in_memory(const struct dl_phdr_info *info, const ElfW(Phdr) * part)
{
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *load = &info->dlpi_phdr[i];
        if (load->p_type == PT_LOAD && (load->p_flags & PF_R) && part->p_vaddr >= load->p_vaddr &&
            part->p_filesz <= load->p_filesz &&
            part->p_vaddr - load->p_vaddr <= load->p_filesz - part->p_filesz)
            return true;
    }
    return false;
}

static bool same_build(const struct dl_phdr_info *info, const ElfW(Phdr) * note, int fd)
{
    uint8_t text[512];
    size_t len = note->p_filesz < sizeof(text) ? note->p_filesz : sizeof(text);

    return read_at(fd, text, len, note->p_offset) &&
           memcmp(text, (const void *)(info->dlpi_addr + note->p_vaddr), len) == 0;
}

static int compare_module(struct dl_phdr_info *info, size_t size, void *data)
{
    struct identity *identity = data;
    ElfW(Phdr) phdr[PHDR_MAX];
    size_t len = info->dlpi_phnum * sizeof(*phdr);

    (void)size;
    if (!module_covers(info, identity->address))
        return 0;
    if (info->dlpi_phnum != identity->header->e_phnum || info->dlpi_phnum > PHDR_MAX ||
        identity->header->e_phentsize != sizeof(*phdr) ||
        !read_at(identity->fd, phdr, len, identity->header->e_phoff) ||
        memcmp(phdr, info->dlpi_phdr, len) != 0)
        return 1;
    identity->same = true;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        if (phdr[i].p_type == PT_NOTE && is_in_memory(info, &phdr[i]) &&
            !same_build(info, &phdr[i], identity->fd))
            identity->same = false;
    }
    return 1;
}

/* One pass over the table for all frames of the module. */
static void name_by_table(int fd, const ElfW(Shdr) * table, const ElfW(Shdr) * names,
                          struct frame *frame, unsigned count, unsigned module)
{
    uint64_t left = table->sh_size / sizeof(ElfW(Sym));
    uint64_t offset = table->sh_offset;
    ElfW(Sym) *sym = malloc(READ_SYMBOLS * sizeof(*sym));
    char name[NAME_MAX_SIZE];

    if (left > SYMBOLS_LIMIT)
        left = SYMBOLS_LIMIT;
    while (sym && left > 0) {
        size_t some = left < READ_SYMBOLS ? left : READ_SYMBOLS;
        if (!read_at(fd, sym, some * sizeof(*sym), offset))
            break;
        for (size_t s = 0; s < some; s++) {
            for (unsigned i = 0; i < count; i++) {
                ssize_t len;
                if (frame[i].module != module || !covers(&sym[s], frame[i].vaddr) ||
                    sym[s].st_name >= names->sh_size)
                    continue;
                len = pread(fd, name, sizeof(name) - 1, (off_t)(names->sh_offset + sym[s].st_name));
                name[len > 0 ? len : 0] = '\0';
                take_name(&frame[i], sym[s].st_value, name);
            }
        }
        left -= some;
        offset += some * sizeof(*sym);
    }
    free(sym);
}

static void name_by_sections(int fd, const ElfW(Ehdr) * header, struct frame *frame, unsigned count,
                             unsigned module)
{
    ElfW(Shdr) section;
    ElfW(Shdr) names;

    if (header->e_shentsize != sizeof(section))
        return;
    for (unsigned i = 0; i < header->e_shnum; i++) {
        if (!read_at(fd, &section, sizeof(section), header->e_shoff + i * sizeof(section)))
            return;
        if (section.sh_type != SHT_SYMTAB || section.sh_entsize != sizeof(ElfW(Sym)) ||
            section.sh_link >= header->e_shnum)
            continue;
        if (read_at(fd, &names, sizeof(names), header->e_shoff + section.sh_link * sizeof(names)))
            name_by_table(fd, &section, &names, frame, count, module);
        return;
    }
}

/* For the frames of one module that have no name yet. */
static void name_by_file(struct frame *frame, unsigned count, const struct frame *sample)
{
    struct identity identity = {.address = sample->symbol->address - 1};
    struct shim_fd file;
    ElfW(Ehdr) header;
    const char *path = sample->path[0] ? sample->path : "/proc/self/exe";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 || shim_fd_take(fd, &file) < 0)
        return;
    if (read_at(file.fd, &header, sizeof(header), 0) &&
        memcmp(header.e_ident, ELFMAG, SELFMAG) == 0) {
        identity.fd = file.fd;
        identity.header = &header;
        dl_iterate_phdr(compare_module, &identity);
        if (identity.same)
            name_by_sections(file.fd, &header, frame, count, sample->module);
    }
    shim_fd_close(&file);
}

/* Readable C++ names, if the process has what it takes already; nothing is loaded for it. */
static void demangle(char *name, size_t size)
{
    char *(*real)(const char *, char *, size_t *, int *);
    char *readable;
    int status;

    if (name[0] != '_' || name[1] != 'Z')
        return;
    *(void **)&real = dlsym(RTLD_DEFAULT, "__cxa_demangle");
    readable = real ? real(name, NULL, NULL, &status) : NULL;
    if (readable)
        snprintf(name, size, "%s", readable);
    free(readable);
}

static void shorten(struct shim_buf *buf, struct shim_str text, size_t max)
{
    struct shim_str part = shim_utf8_prefix(text, max, SIZE_MAX);

    shim_buf_add(buf, part);
    if (part.len < text.len)
        shim_buf_add_text(buf, "...");
}

static void add_offset(struct shim_buf *buf, uintptr_t offset)
{
    char text[24];

    snprintf(text, sizeof(text), "+0x%llx", (unsigned long long)offset);
    shim_buf_add_text(buf, text);
}

static void write_text(struct frame *frame)
{
    char raw[SHIM_SYMBOL_TEXT];
    char program[PATH_MAX];
    struct shim_buf buf;
    const char *path = frame->path;
    const char *slash;

    if (frame->module > 0 && !path[0]) {
        ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
        program[len > 0 ? len : 0] = '\0';
        path = program;
    }
    slash = strrchr(path, '/');
    path = slash ? slash + 1 : path;
    frame->symbol->own = strcmp(path, OWN_MODULE) == 0;

    shim_buf_init(&buf, raw, sizeof(raw));
    if (frame->module == 0) {
        shim_buf_add_text(&buf, "??");
        add_offset(&buf, frame->symbol->address);
    } else {
        demangle(frame->name, sizeof(frame->name));
        shorten(&buf, shim_str(frame->name[0] ? frame->name : "??"), 180);
        if (frame->name[0])
            add_offset(&buf, frame->vaddr - frame->value);
        shim_buf_add_text(&buf, " (");
        shorten(&buf, shim_str(path), 80);
        add_offset(&buf, frame->vaddr);
        shim_buf_add_char(&buf, ')');
    }
    shim_utf8_copy(frame->symbol->text, shim_str_n(raw, buf.len));
    frame->symbol->text[buf.len] = '\0';
    for (char *c = frame->symbol->text; *c; c++) {
        if ((unsigned char)*c < 0x20)
            *c = '?';
    }
}

static unsigned slot_of(uintptr_t address)
{
    return (unsigned)(address ^ address >> 8 ^ address >> 16) % CACHE_SIZE;
}

/* Only texts of the present set of modules are in the cache after this. */
static int check_cache(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)data;
    if (size < offsetof(struct dl_phdr_info, dlpi_subs) + sizeof(info->dlpi_subs) ||
        info->dlpi_adds != cache_adds || info->dlpi_subs != cache_subs)
        memset(cache, 0, sizeof(cache));
    return 1;
}

static void resolve_frames(struct frame *frame, unsigned count)
{
    struct search search = {.frame = frame, .count = count};

    dl_iterate_phdr(visit_module, &search);
    for (unsigned module = 1; module <= search.module; module++) {
        for (unsigned i = 0; i < count; i++) {
            if (frame[i].module == module && !frame[i].name[0]) {
                name_by_file(frame, count, &frame[i]);
                break;
            }
        }
    }
    for (unsigned i = 0; i < count; i++) {
        struct shim_symbol *symbol = frame[i].symbol;
        unsigned slot = slot_of(symbol->address);

        write_text(&frame[i]);
        cache[slot].address = symbol->address;
        cache[slot].own = symbol->own;
        memcpy(cache[slot].text, symbol->text, sizeof(symbol->text));
    }
    cache_adds = search.adds;
    cache_subs = search.subs;
}

void shim_symbols_resolve(struct shim_symbol *symbol, unsigned count)
{
    struct frame *frame =
        calloc(count < SHIM_SYMBOLS_MAX ? count : SHIM_SYMBOLS_MAX, sizeof(*frame));
    unsigned unknown = 0;

    dl_iterate_phdr(check_cache, NULL);
    for (unsigned i = 0; i < count && i < SHIM_SYMBOLS_MAX; i++) {
        unsigned slot = slot_of(symbol[i].address);

        symbol[i].own = false;
        if (cache[slot].address == symbol[i].address && cache[slot].text[0]) {
            symbol[i].own = cache[slot].own;
            memcpy(symbol[i].text, cache[slot].text, sizeof(symbol[i].text));
        } else if (frame) {
            frame[unknown++].symbol = &symbol[i];
        } else {
            snprintf(symbol[i].text, sizeof(symbol[i].text), "??+0x%llx",
                     (unsigned long long)symbol[i].address);
        }
    }
    if (unknown > 0)
        resolve_frames(frame, unknown);
    free(frame);
}
