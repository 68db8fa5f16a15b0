/**
 * Twelve pipelines with the habits of other tools, what must be said about each, and what each
 * becomes.
 */

export interface Newcomer {
  readonly title: string;
  readonly written: string;
  /** A part of each problem's message, in the order of the text. None: it is read as it is. */
  readonly hints: readonly string[];
  readonly corrected: string;
  /** It needs nothing but a shell, so a test runs it to its end. */
  readonly runs?: true;
}

export const NEWCOMERS: readonly Newcomer[] = [
  {
    title: "an ETL of GitHub Actions",
    written: `name: etl
on:
  schedule: [{cron: "0 3 * * *"}]
env:
  REGION: eu
jobs:
  extract:
    runs-on: ubuntu-latest
    steps:
      - run: python extract.py
  load:
    needs: extract
    timeout-minutes: 10
    if: success()
    run: echo load
`,
    hints: [
      '"on": a pipeline starts when somebody runs it: let cron call titan run FILE --key NAME',
      '"env": env belongs to a job: write "x-env: &env {REGION: eu}" here and "env: *env" in each',
      '"jobs" must be a list, found a map: write "- id: extract" and its keys below ' +
        "it, for each job",
      '"runs-on" in job "extract": leave it out: any worker may run the job',
      '"steps" in job "extract": a job is one script: write the commands below run: | ' +
        "or make each step a job",
      '"timeout-minutes" in job "load": write timeout: 10m',
      '"if" in job "load": leave it out: when: success is the default',
    ],
    corrected: `name: etl
jobs:
  - id: extract
    run: echo "rows=3 region=$REGION" > "$TITAN_SHARED/rows"
    env: {REGION: eu}
  - id: load
    needs: extract
    timeout: 10m
    run: grep -q eu "$TITAN_SHARED/rows"
`,
    runs: true,
  },
  {
    title: "an ETL of GitLab and compose",
    written: `name: etl
jobs:
  - name: Extract rows
    script: python3 extract.py --rows 10
    environment: [REGION=eu, "NOTE=two words"]
  - name: transform
    depends_on: {extract: {condition: service_completed_successfully}}
    command: "python3 transform.py"
    env: [A=b, C=d]
  - id: load
    cmd: echo load
    dependencies: [transform]
`,
    hints: [
      '"name" in job 1: write id: Extract-rows',
      '"script" in job 1: write run: python3 extract.py --rows 10',
      '"environment" in job 1: write env: {REGION: eu, NOTE: "two words"}',
      '"name" in job "transform": write id: transform',
      "found a map: write depends_on: [extract]",
      'write [program, argument], or use "run" for a line of shell',
      "found a list: write env: {A: b, C: d}",
      '"cmd" in job "load": write run: echo load',
      '"dependencies" in job "load": write depends_on: [transform]',
    ],
    corrected: `name: etl
jobs:
  - id: Extract-rows
    run: printf '{"rows":10}' > "$TITAN_OUTPUT"
    env: {REGION: eu, NOTE: "two words"}
  - id: transform
    depends_on: [Extract-rows]
    run: grep -q '"rows":10' "$TITAN_INPUTS"
    env: {A: b, C: d}
  - id: load
    run: echo load
    depends_on: [transform]
`,
    runs: true,
  },
  {
    title: "a training of Argo with a GPU",
    written: `name: training
defaults:
  retries: 2
jobs:
  - id: train
    script: train.py
    tags: [gpu, a100]
    timeout: 2 hours
    resources: {gpu: 1}
    secrets: [HF_TOKEN]
    artifacts: {paths: [model.bin]}
    hitl: {message: "Publish the model?"}
  - id: publish
    run: echo published
    requires: train
`,
    hints: [
      '"defaults": the only default is "shell"; share what is common: "x-base: &base ' +
        '{…}" at the top, "<<: *base" in each job',
      '"script" in job "train": write file: train.py',
      '"tags" in job "train": write requirement: [gpu, a100]',
      'found the text "2 hours": write 2h',
      '"resources" in job "train": a job asks for tags of workers (requirement: GPU)',
      '"secrets" in job "train": Titan has no secrets yet',
      '"artifacts" in job "train": a job hands files on by outputs: [path]',
      '"requires" in job "publish": write depends_on: train',
    ],
    corrected: `name: training
x-base: &base {retries: 2}
jobs:
  - <<: *base
    id: train
    file: train.py
    requirement: [gpu, a100]
    timeout: 2h
    hitl_message: "Publish the model?"
  - <<: *base
    id: publish
    run: echo published
    depends_on: train
`,
    runs: true,
  },
  {
    title: "a matrix of GitHub Actions",
    written: `name: ci
concurrency: ci-main
jobs:
  - id: test
    strategy:
      matrix: {node: [20, 22]}
    run: npm test -- --node \${{ matrix.node }}
    if: \${{ success() }}
  - id: lint
    uses: actions/checkout@v4
    run: npm run lint
`,
    hints: [
      '"concurrency": Titan has no such limit yet',
      '"strategy" in job "test": Titan has no loops: write one job for each value',
      '"if" in job "test": leave it out',
      '"uses" in job "lint": Titan has no actions or plugins: call the program itself',
    ],
    corrected: `name: ci
jobs:
  - {id: test-20, run: 'test "$NODE" = 20', env: {NODE: "20"}}
  - {id: test-22, run: 'test "$NODE" = 22', env: {NODE: "22"}}
  - id: lint
    run: echo lint
    needs: [test-20, test-22]
`,
    runs: true,
  },
  {
    title: "a fan-out of Argo",
    written: `name: fan
jobs:
  - id: work-1
    run: echo 1
  - id: work-2
    run: echo 2
  - id: work
    foreach: [a, b, c]
    run: echo $item
  - id: join
    run: echo joined
    needs: work-*
`,
    hints: [
      '"foreach" in job "work": Titan has no loops: write one job for each value, or ' +
        "make the file by a program (titan run -)",
      'unknown job "work-*" in depends_on of job "join" (names have no patterns): ' +
        "write [work-1, work-2]",
    ],
    corrected: `name: fan
jobs:
  - {id: work-1, run: echo 1}
  - {id: work-2, run: echo 2}
  - id: join
    run: echo joined
    needs: [work-1, work-2]
`,
    runs: true,
  },
  {
    title: "retries of four tools",
    written: `name: flaky
jobs:
  - id: a
    run: curl example.org
    retry: 3
    timeout-minutes: 10
  - id: b
    run: ls
    retryStrategy: {limit: 5, backoff: {duration: 1m}}
    timeout: PT10M
  - id: c
    run: ls
    maxAttempts: 4
  - id: d
    run: ls
    retry: {limit: 2, initial_delay: 5s, multiplier: 3}
`,
    hints: [
      "found the number 3: write retries: 3 (4 attempts at most)",
      "write timeout: 10m",
      '"retryStrategy" in job "b": write retries: 5',
      'found the text "PT10M": write 10m',
      '"maxAttempts" in job "c": write retries: 3',
      '"limit" in "retry" in job "d": write max_attempts: 3',
      "write delay: 5s",
      "write backoff: 3",
    ],
    corrected: `name: flaky
jobs:
  - {id: a, run: curl example.org, retries: 3, timeout: 10m}
  - {id: b, run: ls, retries: 5, timeout: 10m}
  - {id: c, run: ls, retries: 3}
  - {id: d, run: ls, retry: {max_attempts: 3, delay: 5s, backoff: 3}}
`,
  },
  {
    title: "a service of compose",
    written: `name: web
jobs:
  - id: api
    type: service
    run: node server.js
    healthcheck: {test: curl localhost}
    restart: always
    ports: ["8080:80"]
    image: node:20
    volumes: ["./data:/data"]
`,
    hints: [
      'unknown key "test" in "healthcheck" in job "api"',
      'unknown key "ports" in job "api": a service has one port: type: service, and port: 80',
      '"image" in job "api": jobs run on the worker itself: write run: docker run --rm ' +
        "IMAGE COMMAND",
      '"volumes" in job "api": files go from job to job by outputs and inputs',
    ],
    corrected: `name: web
jobs:
  - id: api
    type: service
    run: docker run --rm -p 80:80 node:20 node server.js
    healthcheck: {http: /}
    restart: always
    port: 80
`,
  },
  {
    title: "a gate of its own",
    written: `name: release
jobs:
  - id: build
    run: make
  - id: ask
    type: gate
    message: Ship it?
    approvers: [ann]
    needs: [build]
  - id: ship
    run: make ship
    approval: "Really?"
    when: manual
    needs: [ask]
`,
    hints: [
      'a gate is no job of its own: write hitl_message: "Ship it?" into the job build',
      '"message" in job "ask": it goes into the "hitl_message" of the job before',
      '"approvers" in job "ask": write hitl: {message: …, approvers: […]}',
      '"approval" in job "ship": write hitl_message: "Really?"',
      'found the text "manual": a person is asked by hitl_message',
    ],
    corrected: `name: release
jobs:
  - {id: build, run: make, hitl_message: "Ship it?"}
  - {id: ship, run: make ship, needs: [build]}
`,
  },
  {
    title: "a clean-up that always runs",
    written: `name: tidy
jobs:
  - id: work
    run: make
    continue-on-error: true
    onFailure: mail
  - id: mail
    run: mail.sh
    needs: work
    when: on_failure
  - id: cleanup
    run: rm -rf tmp
    needs: [work]
    if: always()
`,
    hints: [
      '"continue-on-error" in job "work": end the command that may fail with || true',
      '"onFailure" in job "work": write a job of its own with depends_on: this one, ' +
        "and when: failure",
      'found the text "on_failure": write when: failure',
      '"if" in job "cleanup": write when: always',
    ],
    corrected: `name: tidy
jobs:
  - {id: work, run: "false || true"}
  - {id: mail, run: mail.sh, needs: work, when: failure}
  - {id: cleanup, run: rm -rf tmp, needs: [work], when: always}
`,
    runs: true,
  },
  {
    title: "variables of compose",
    written: `name: vars
env: {LEVEL: debug}
env_file: .env
shell: bash -e {0}
jobs:
  - id: a
    working_directory: sub
    shell: python
    run: print(1)
    environment:
      EMPTY:
      1BAD: x
    env:
      EMPTY:
  - id: b
    shell: zsh
    run: ls
    depends_on:
`,
    hints: [
      '"env": env belongs to a job',
      '"env_file": begin the script with: set -a; . ./.env; set +a',
      'found the text "bash -e {0}": write shell: bash',
      '"working_directory" in job "a": a job starts in the project\'s folder: begin its ' +
        "script with cd sub",
      'found the text "python": write shell: python3',
      '"environment" in job "a": write env: …',
      '"env.EMPTY" in job "a" must be text, found nothing: write "" for an empty text',
      'found the text "zsh": write command: [zsh, …]',
      "found nothing: leave the key out if there are none",
    ],
    corrected: `name: vars
shell: bash
x-env: &env {LEVEL: debug, EMPTY: ""}
jobs:
  - id: a
    shell: python3
    run: |
      import os
      assert os.environ["LEVEL"] == "debug"
    env: *env
  - id: b
    run: |
      names=(one two)
      test "\${names[1]}" = two
`,
    runs: true,
  },
  {
    title: "anchors and merge keys",
    written: `name: shared
x-common: &common
  retries: 2
  timeout: 10m
  env: {REGION: eu}
x-gpu: &gpu {requirement: GPU, timeout: 2h}
jobs:
  - <<: *common
    id: a
    run: echo a
  - <<: [*gpu, *common]
    id: b
    run: echo b
    needs: a
    retries: 0
`,
    hints: [],
    corrected: `name: shared
x-common: &common
  retries: 2
  timeout: 10m
  env: {REGION: eu}
x-gpu: &gpu {requirement: GPU, timeout: 2h}
jobs:
  - <<: *common
    id: a
    run: echo a
  - <<: [*gpu, *common]
    id: b
    run: echo b
    needs: a
    retries: 0
`,
    runs: true,
  },
  {
    title: "a manifest and lists of commands",
    written: `apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: gen}
spec:
  entrypoint: main
jobs:
  - id: a
    commands:
      - echo one
      - echo two
  - id: b
    run: [make, test]
  - id: c
    inline: |
      import json
      print(1)
`,
    hints: [
      '"apiVersion": this looks like a manifest of Kubernetes or Argo: a pipeline has ' +
        "name and jobs",
      "the pipeline needs a name",
      '"kind": a pipeline has name and jobs',
      '"metadata"',
      '"spec"',
      '"commands" in job "a": write run: | and each command on a line of its own below it',
      "found a list: write run: | and each command on a line of its own below it",
      '"inline" in job "c": write run: | and the script below it',
    ],
    corrected: `name: gen
jobs:
  - id: a
    run: |
      echo one
      echo two
  - {id: b, command: [echo, make]}
  - id: c
    shell: python3
    run: |
      import json
      print(1)
`,
    runs: true,
  },
];
