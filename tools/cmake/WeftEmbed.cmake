# weft_embed(<target> <stem>...): compiles kernels/<stem>.cl into the target as bytes. The code says
#   #include "kernels/<stem>.cl.h"
# and gets weft_cl_<stem>[], ending with a NUL, and weft_cl_<stem>_size without the NUL.
function(weft_embed target)
  set(folder "${PROJECT_SOURCE_DIR}/kernels")
  set(script "${PROJECT_SOURCE_DIR}/tools/cmake/embed.cmake")
  file(GLOB shared CONFIGURE_DEPENDS "${folder}/*.clh")
  foreach(stem IN LISTS ARGN)
    set(out "${WEFT_GENERATED_DIR}/kernels/${stem}.cl")
    add_custom_command(
      OUTPUT "${out}.c" "${out}.h"
      COMMAND "${CMAKE_COMMAND}" "-DSTEM=${stem}" "-DFOLDER=${folder}" "-DOUT=${out}" -P "${script}"
      DEPENDS "${folder}/${stem}.cl" ${shared} "${script}"
      COMMENT "Embedding kernels/${stem}.cl"
      VERBATIM)
    target_sources(${target} PRIVATE "${out}.c" "${out}.h")
    set_property(GLOBAL APPEND PROPERTY WEFT_EMBEDDED ${stem})
  endforeach()
  target_include_directories(${target} PRIVATE "${WEFT_GENERATED_DIR}")
endfunction()
