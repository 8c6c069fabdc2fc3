# The two ways to build a plugin or a backend: a module beside libweft, or objects linked into it.
#   weft_add_plugin(<name> [BUILTIN | EXAMPLE] SOURCES <file>... [LIBS <target>...]
#                   [KERNELS <stem>...])
# EXAMPLE: built and loaded in the build tree, not installed.
# Both see the plugin headers and their own folder, nothing else of Weft.
function(weft_add_plugin name)
  cmake_parse_arguments(arg "BUILTIN;EXAMPLE" "" "SOURCES;LIBS;KERNELS" ${ARGN})
  set(target "plugin_${name}")
  if(arg_BUILTIN)
    add_library(${target} OBJECT ${arg_SOURCES})
    target_compile_definitions(${target} PRIVATE WEFT_STATIC)
    set_property(GLOBAL APPEND PROPERTY WEFT_BUILTIN_PLUGINS ${name})
  else()
    add_library(${target} MODULE ${arg_SOURCES})
    set_target_properties(${target} PROPERTIES PREFIX "" SUFFIX ".so" OUTPUT_NAME ${name}
      LINKER_LANGUAGE C LIBRARY_OUTPUT_DIRECTORY "${WEFT_PLUGIN_DIR}")
    target_link_options(${target} PRIVATE ${WEFT_NO_UNDEFINED})
    if(NOT arg_EXAMPLE)
      install(TARGETS ${target} LIBRARY DESTINATION "${WEFT_INSTALL_PLUGIN_DIR}")
    endif()
    set_property(GLOBAL APPEND PROPERTY WEFT_MODULES ${target})
  endif()
  target_link_libraries(${target} PRIVATE Weft::plugin ${arg_LIBS} m)
  weft_embed(${target} ${arg_KERNELS})
endfunction()

# Writes the table of linked-in plugins, weft__builtin_plugins, and gives its path.
function(weft_write_builtin_table file)
  get_property(names GLOBAL PROPERTY WEFT_BUILTIN_PLUGINS)
  set(declarations "")
  set(rows "")
  foreach(name IN LISTS names)
    string(APPEND declarations "extern const weft_plugin weft_plugin_v1_${name};\n")
    string(APPEND rows "    &weft_plugin_v1_${name},\n")
  endforeach()
  file(CONFIGURE OUTPUT "${WEFT_GENERATED_DIR}/builtin_plugins.c" CONTENT
"/* Made by CMake: the plugins that are linked into libweft. */
#include <weft/plugin.h>
@declarations@extern const weft_plugin *const weft__builtin_plugins[];
const weft_plugin *const weft__builtin_plugins[] = {
@rows@    0
};
" @ONLY)
  set(${file} "${WEFT_GENERATED_DIR}/builtin_plugins.c" PARENT_SCOPE)
endfunction()

# Writes the list of exported symbols: the functions weft_<noun>..., not weft__ and no plugin.
function(weft_write_version_script file)
  get_property(names GLOBAL PROPERTY WEFT_BUILTIN_PLUGINS)
  set(hidden "")
  foreach(name IN LISTS names)
    string(APPEND hidden "weft_plugin_v1_${name}; ")
  endforeach()
  file(CONFIGURE OUTPUT "${WEFT_GENERATED_DIR}/weft.map" CONTENT
"{
global: weft_[a-z]*;
local: @hidden@*;
};
" @ONLY)
  set(${file} "${WEFT_GENERATED_DIR}/weft.map" PARENT_SCOPE)
endfunction()
