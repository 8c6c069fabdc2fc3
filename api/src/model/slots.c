/* Variables of a session: a store of their own, and a list. */
#include "model/slots.h"
#include "base/alloc.h"
#include "model/parts.h"

weft_status weft__slots_create(weft__slots **slots)
{
    weft__slots *s = weft__alloc(sizeof *s);
    if (!s) return WEFT_E_NOMEM;
    weft_status st = weft__store_create(&s->store);
    if (st)
        weft__free(s);
    else
        *slots = s;
    return st;
}

void weft__slots_destroy(weft__slots **slots)
{
    weft__slots *s = *slots;
    if (!s) return;
    for (size_t i = 0; i < s->n; i++)
        weft__variable_destroy(&s->variable[i]);
    weft__free(s->variable);
    weft__store_destroy(&s->store);
    weft__free(s);
    *slots = NULL;
}

weft_status weft__slots_add(weft__slots *slots, const char *name, const weft_spec *spec,
                            const char *initializer, weft__variable **variable)
{
    weft__variable_request request = {
        .path = name, .name = name, .initializer = initializer, .spec = spec, .flags = WEFT_STATE
    };
    weft__variable *v = NULL;
    if (weft__grow(&slots->variable, slots->n, &slots->cap, sizeof(weft__variable *)))
        return WEFT_E_NOMEM;
    weft_status st = weft__variable_create(slots->store, &request, &v);
    if (st) return st;
    slots->variable[slots->n++] = *variable = v;
    return weft__variable_ready(v);
}
