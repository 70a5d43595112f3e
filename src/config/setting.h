/* One row of the table of variables, and one reader per type of value. A reader turns a text into a
 * field of shim_config and knows no variable by name. Constructor only; async-signal-safe, no
 * allocation but for one mapping where the environment is larger than what is set aside. */
#pragma once

#include "base/str.h"
#include "config/config.h"

#include <stddef.h>
#include <stdint.h>

/* A word that a value can be. */
struct shim_choice {
    const char *name; /* NULL: end of the list */
    uint32_t value;
    bool unsupported; /* it exists elsewhere; here it is the same as unset, but said so */
};

/* What is wrong with a value. */
struct shim_problem {
    const char *what;       /* "is not …"; NULL: nothing */
    struct shim_str member; /* of a list: the first one that is wrong; else empty */
    bool is_partial;        /* the rest of the list counts; else the setting is as if unset */
};

struct shim_setting {
    struct shim_config_doc doc;
    /* Writes *field unless it returns a problem that is not partial. `text` lives as long as the
     * process, is not empty, and has a NUL behind it. */
    struct shim_problem (*read)(const struct shim_setting *setting, struct shim_str text,
                                void *field);
    const char *initial; /* read as if it had been set; NULL: an earlier row's field, or zero */
    uint16_t field;      /* offset in struct shim_config */
    uint16_t is_set;     /* offset of a bool that tells whether it was set; 0: none */
    bool is_secret;      /* never printed */
    uint64_t min, max;
    const struct shim_choice *choices;
};

/* Room for the texts of one reading of the environment; forgets those of the reading before. */
void shim_setting_room(size_t bytes);

/* A copy that lives as long as the process, with a NUL behind it; ptr NULL: no room. */
struct shim_str shim_setting_keep(struct shim_str text);

struct shim_problem shim_read_boolean(const struct shim_setting *, struct shim_str, void *);
struct shim_problem shim_read_integer(const struct shim_setting *, struct shim_str, void *);
struct shim_problem shim_read_duration(const struct shim_setting *, struct shim_str, void *);
struct shim_problem shim_read_size(const struct shim_setting *, struct shim_str, void *);
struct shim_problem shim_read_ratio(const struct shim_setting *, struct shim_str, void *);
struct shim_problem shim_read_text(const struct shim_setting *, struct shim_str, void *);
struct shim_problem shim_read_lowercase(const struct shim_setting *, struct shim_str, void *);
/* One of the choices. */
struct shim_problem shim_read_choice(const struct shim_setting *, struct shim_str, void *);
/* A list of choices; their values are bits. A choice of value 0 stands alone ("none"). */
struct shim_problem shim_read_bits(const struct shim_setting *, struct shim_str, void *);
/* The same, where a list that only takes out (-name) begins with all. */
struct shim_problem shim_read_switches(const struct shim_setting *, struct shim_str, void *);
/* A list for shim_host_list_match. What cannot be read in it matches nothing. */
struct shim_problem shim_read_hosts(const struct shim_setting *, struct shim_str, void *);
/* key=value, percent-encoded. */
struct shim_problem shim_read_pairs(const struct shim_setting *, struct shim_str, void *);
/* OTLP exporter, Endpoint URLs for OTLP/HTTP: a base that v1/traces is added to; a URL that is used
 * as it is. */
struct shim_problem shim_read_endpoint_base(const struct shim_setting *, struct shim_str, void *);
struct shim_problem shim_read_endpoint(const struct shim_setting *, struct shim_str, void *);
