%% Plays scenarios on OTP's own supervisor and prints the lines of each step.
%%
%% The file named by the first argument holds one term per scenario:
%%   {Tree, Cues, Templates, Steps}
%%   Tree       {Strategy, MaxRestarts, AutoShutdown, [Node]}
%%   Node       {Id, Restart, Significant, leaf | Tree}
%%   Cues       [{fail | ignore, Path, Count}], for the initial start
%%   Templates  #{Path => {Restart, Significant}}, of the children of simple_one_for_one supervisors
%%   Steps      [{Kind, Path, Argument}]
%% Ids and paths are strings. The answer is one line of text for each line of a step; `step` ends a
%% step, `scenario` a scenario.
-module(replay).
-behaviour(supervisor).
-export([main/1, init/1, start_leaf/2, leaf/3, start_inner/3, start_dynamic/3]).

-define(PERIOD, 1000000000).

main([File]) ->
    logger:set_primary_config(level, none),
    {ok, Scenarios} = file:consult(File),
    lists:foreach(fun play/1, Scenarios),
    halt().

%% One scenario

play({Tree, Cues, Templates, Steps}) ->
    process_flag(trap_exit, true),
    Tables = [log, numbers, cues, running, templates],
    [ets:new(Name, [named_table, public, ordered_set]) || Name <- Tables],
    ets:insert(templates, maps:to_list(Templates)),
    lists:foreach(fun cue/1, Cues),
    Root = case supervisor:start_link(?MODULE, {"root", Tree}) of
               {ok, Pid} -> Pid;
               {error, _} -> log("ended", []), none
           end,
    print(),
    lists:foreach(fun(Step) -> step(Root, Step), print() end, Steps),
    io:put_chars("scenario\n"),
    lists:foreach(fun ets:delete/1, Tables).

step(_, {fail_starts, Path, Count}) -> cue({fail, Path, Count});
step(_, {ignore_starts, Path, Count}) -> cue({ignore, Path, Count});
step(Root, {Kind, Path, Argument}) ->
    case is_missing(Kind, Path) of
        true -> log("nobody", []);
        false ->
            Answer = perform(Root, Kind, Path, Argument),
            IsAlive = wait_quiet(Root),
            [log("~s", [Answer]) || Answer =/= none],
            [log("ended", []) || not IsAlive]
    end.

is_missing(Kind, Path) when Kind =:= crash; Kind =:= return -> find(leaf, Path) =:= none;
is_missing(Kind, Path) when Kind =:= start; Kind =:= stop -> find(supervisor, Path) =:= none;
is_missing(_, Path) -> find(supervisor, parent(Path)) =:= none.

perform(Root, stop, _, _) -> exit(Root, shutdown), none;
perform(_, start, Path, Node) -> start_child(find(supervisor, Path), Path, Node);
perform(_, terminate, Path, _) -> answer(request(terminate_child, Path));
perform(_, restart, Path, _) -> answer(request(restart_child, Path));
perform(_, delete, Path, _) -> answer(request(delete_child, Path));
perform(_, Kind, Path, _) ->
    Leaf = find(leaf, Path),
    Monitor = monitor(process, Leaf),
    Leaf ! Kind,
    receive {'DOWN', Monitor, process, Leaf, _} -> none end.

start_child(Supervisor, Path, {Id, _, _, _} = Node) ->
    case is_dynamic(Path) of
        true ->
            Name = Id ++ "#" ++ integer_to_list(next({dynamic, Supervisor})),
            answer(supervisor:start_child(Supervisor, [Path ++ "/" ++ Name, Node]));
        false ->
            answer(supervisor:start_child(Supervisor, spec(Path, Node)))
    end.

request(Function, Path) ->
    Parent = parent(Path),
    Name = lists:nthtail(length(Parent) + 1, Path),
    Id = case is_dynamic(Parent) of
             true -> any_pid(Path);
             false -> Name
         end,
    supervisor:Function(find(supervisor, Parent), Id).

any_pid(Path) ->
    case [Pid || Kind <- [leaf, supervisor], Pid <- [find(Kind, Path)], is_pid(Pid)] of
        [Pid | _] -> Pid;
        [] -> self()  % a process that is no child
    end.

answer(ok) -> "done";
answer({ok, _}) -> "done";
answer({error, not_found}) -> "NoSuchChild";
answer({error, simple_one_for_one}) -> "refused";
answer({error, Reason}) when Reason =:= running; Reason =:= restarting -> "ChildStateError";
answer({error, already_present}) -> "ChildStateError";
answer({error, {already_started, _}}) -> "ChildStateError";
answer({error, {invalid_child_spec, _} = Reason}) -> io_lib:format("~p", [Reason]);
answer({error, _}) -> "StartError".

%% Quiet: every supervisor answers, no child is being restarted, and each that it lists is alive

wait_quiet(Root) ->
    receive
        {'EXIT', Root, _} -> false
    after 0 ->
        is_quiet(Root) orelse begin erlang:yield(), wait_quiet(Root) end
    end.

is_quiet(Supervisor) ->
    try supervisor:which_children(Supervisor) of
        Children -> lists:all(fun({_, Child, _, _}) -> is_settled(Child) end, Children)
    catch
        exit:_ -> false
    end.

is_settled(undefined) -> true;
is_settled(restarting) -> false;
is_settled(Pid) ->
    is_process_alive(Pid)
        andalso (ets:match(running, {{supervisor, '_'}, Pid}) =:= [] orelse is_quiet(Pid)).

%% Supervisors

init({Path, {Strategy, MaxRestarts, AutoShutdown, Nodes}}) ->
    ets:insert(running, {{supervisor, Path}, self()}),
    ets:insert(running, {{strategy, Path}, Strategy}),
    Flags = #{strategy => Strategy, intensity => MaxRestarts, period => ?PERIOD,
              auto_shutdown => AutoShutdown},
    Children = case Strategy of
                   simple_one_for_one -> [template(Path)];
                   _ -> [spec(Path, Node) || Node <- Nodes]
               end,
    {ok, {Flags, Children}}.

template(Path) ->
    {Restart, Significant} = case ets:lookup(templates, Path) of
                                 [{Path, Template}] -> Template;
                                 [] -> {temporary, false}
                             end,
    #{id => template, start => {?MODULE, start_dynamic, [make_ref()]}, restart => Restart,
      significant => Significant, shutdown => infinity}.

%% The reference names the life of a row: it counts the incarnations.
spec(Path, {Id, Restart, Significant, What}) ->
    Child = Path ++ "/" ++ Id,
    Start = case What of
                leaf -> {?MODULE, start_leaf, [Child, make_ref()]};
                Tree -> {?MODULE, start_inner, [Child, make_ref(), Tree]}
            end,
    #{id => Id, start => Start, restart => Restart, significant => Significant, shutdown => infinity}.

start_inner(Path, _Row, Tree) -> supervisor:start_link(?MODULE, {Path, Tree}).

start_dynamic(_, Path, {_, _, _, leaf}) -> start_leaf(Path, {self(), Path});
start_dynamic(_, Path, {_, _, _, Tree}) -> start_inner(Path, {self(), Path}, Tree).

%% Leaves

start_leaf(Path, Row) ->
    Number = next(Row),
    case take_cue(Path) of
        fail -> log("exited ~s ~b abnormal while starting", [Path, Number]), {error, failed};
        ignore -> log("exited ~s ~b normal while starting", [Path, Number]), ignore;
        none -> proc_lib:start_link(?MODULE, leaf, [self(), Path, Number])
    end.

leaf(Parent, Path, Number) ->
    process_flag(trap_exit, true),
    ets:insert(running, {{leaf, Path}, self()}),
    log("started ~s ~b", [Path, Number]),
    proc_lib:init_ack({ok, self()}),
    {Reason, Words} = receive
                          crash -> {crash, "abnormal while running"};
                          return -> {normal, "normal while running"};
                          {'EXIT', Parent, shutdown} -> {shutdown, "shutdown while stopping"}
                      end,
    log("exited ~s ~b ~s", [Path, Number, Words]),
    exit(Reason).

cue({Kind, Path, Count}) -> ets:insert(cues, {{Kind, Path}, Count}).

take_cue(Path) -> take_cue([fail, ignore], Path).

take_cue([], _) -> none;
take_cue([Kind | Rest], Path) ->
    case ets:lookup(cues, {Kind, Path}) of
        [{Key, Count}] when Count > 0 -> ets:insert(cues, {Key, Count - 1}), Kind;
        _ -> take_cue(Rest, Path)
    end.

%% What all processes share

find(Kind, Path) ->
    case ets:lookup(running, {Kind, Path}) of
        [{_, Pid}] -> case is_process_alive(Pid) of true -> Pid; false -> none end;
        [] -> none
    end.

is_dynamic(Path) -> ets:lookup_element(running, {strategy, Path}, 2) =:= simple_one_for_one.

parent(Path) -> filename:dirname(Path).

next(Key) -> ets:update_counter(numbers, Key, 1, {Key, 0}).

log(Format, Arguments) -> ets:insert(log, {next(log), io_lib:format(Format, Arguments)}).

print() ->
    [io:put_chars([Line, $\n]) || {_, Line} <- ets:tab2list(log)],
    ets:delete_all_objects(log),
    io:put_chars("step\n").
