import FaultLab
import PageCache
import Reactor
import Support
import Testing

@Suite("Schedules of races", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct ScheduleTests {
  @Test("are enumerated by their deviations, each once")
  func enumeration() {
    // Three choices of two, two and three, whatever was chosen before.
    for (bound, count) in [(0, 1), (1, 1 + 1 + 1 + 2), (2, 5 + 1 + 2 + 2), (3, 12), (9, 12)] {
      var schedules = ScheduleEnumerator(bound: bound)
      var seen: [[Int]] = []
      while let run = schedules.next() {
        var choices = [0, 0, 0]
        for deviation in run { choices[deviation.point] = deviation.choice }
        #expect(!seen.contains(choices) && run.count <= bound)
        seen.append(choices)
        schedules.note([2, 2, 3], of: run)
      }
      #expect(seen.count == count && schedules.count == count)
    }
    // Those with few deviations first, if that is wanted.
    var schedules = ScheduleEnumerator(bound: 2)
    var lengths: [Int] = []
    for limit in [1, 2] {
      while let run = schedules.next(atMost: limit) {
        lengths.append(run.count)
        schedules.note([2, 2, 3], of: run)
      }
    }
    #expect(lengths == [0, 1, 1, 1, 1, 2, 2, 2, 2, 2])
  }

  @Test("the same deviations give the same run")
  func repeats() throws {
    let explorer = try ScheduleExplorer()
    let race = try #require(RaceScenario("reallocate/fails/3"))
    let deviations = [ScheduleChooser.Deviation(point: 4, choice: 1)]
    let first = explorer.run(race, deviations), second = explorer.run(race, deviations)
    #expect(first.counts == second.counts && first.counts.count > 8)
    #expect(explorer.run(race, []).counts != first.counts)
    #expect(RaceScenario("reallocate/fails/5") == nil && RaceScenario("none") == nil)
  }

  @Test("with one deviation every race ends well", arguments: RaceScenario.Change.allCases)
  func single(change: RaceScenario.Change) throws {
    let explorer = try ScheduleExplorer()
    var count = 0
    for race in RaceScenario.all where race.change == change && race.delay == (race.disk == .fails ? 0 : 3) {
      var schedules = ScheduleEnumerator(bound: 1)
      while let run = schedules.next() {
        let outcome = explorer.run(race, run)
        #expect(outcome.findings == [], "blkdev-run explore --race \(race) --schedule \(run)")
        schedules.note(outcome.counts, of: run)
        count += 1
      }
    }
    #expect(count > 40)
  }

  @Test("with two deviations a rule that does not hold is noticed", arguments: ScheduleExplorer.mutants)
  func mutants(name: String) throws {
    let rule = try #require(SwitchedOffRules.all.first { $0.name == name }?.rule)
    let race = try #require(ScheduleExplorer.showing.first { $0.rule == rule }.flatMap { RaceScenario($0.race) })
    let explorer = try ScheduleExplorer()
    var schedules = ScheduleEnumerator(bound: 2)
    while let run = schedules.next() {
      let outcome = leaving("what a volume without the rule holds, or waits for, for ever") {
        explorer.run(race, run, switchedOff: rule)
      }
      if !outcome.findings.isEmpty { return }
      schedules.note(outcome.counts, of: run)
    }
    Issue.record("no schedule notices \(name)")
  }
}
