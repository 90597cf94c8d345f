//! What people type, as the types that commands take.

use app::dto::{PhaseSize, Size};
use app::model::{Gate, MaintenanceWindow, Percent, RateLimit, Seconds};

/// `90s`, `15m`, `6h` or `14d`.
pub(crate) fn duration(text: &str) -> Result<Seconds, String> {
    let wrong = || format!("`{text}` is no duration such as 90s, 15m, 6h or 14d");
    let unit = text.chars().last().filter(char::is_ascii_alphabetic).ok_or_else(wrong)?;
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).map(Seconds).ok_or_else(wrong)
}

/// `95` or `95%`.
pub(crate) fn percent(text: &str) -> Result<Percent, String> {
    let share =
        text.strip_suffix('%').unwrap_or(text).parse().map_err(|_| format!("`{text}` is no percentage"))?;
    Percent::new(share).map_err(|error| error.to_string())
}

/// `10`, `25%` or `rest`, then `,success=95`, `,soak=6h`, `,wait`.
pub(crate) fn phase(text: &str) -> Result<PhaseSize, String> {
    let mut parts = text.split(',').map(str::trim);
    let size = match parts.next().unwrap_or_default() {
        "rest" => Size::Rest,
        share if share.ends_with('%') => Size::Percent(percent(share)?),
        count => {
            Size::Devices(count.parse().map_err(|_| format!("`{count}` is no phase size: 10, 25% or rest"))?)
        }
    };
    let mut phase = PhaseSize { size, success: Percent::ALL, soak: Seconds(0), gate: Gate::Continue };
    for part in parts {
        match part.split_once('=') {
            Some(("success", share)) => phase.success = percent(share)?,
            Some(("soak", time)) => phase.soak = duration(time)?,
            None if part == "wait" => phase.gate = Gate::WaitForMe,
            _ => return Err(format!("`{part}` is none of success=95, soak=6h, wait")),
        }
    }
    Ok(phase)
}

/// `500/1h`.
pub(crate) fn rate(text: &str) -> Result<RateLimit, String> {
    let (offers, per) = text.split_once('/').ok_or_else(|| format!("`{text}` is no rate such as 500/1h"))?;
    let offers = offers.parse().map_err(|_| format!("`{offers}` is no number of offers"))?;
    Ok(RateLimit { offers, per: duration(per)? })
}

/// `22:00+6h`, in UTC.
pub(crate) fn window(text: &str) -> Result<MaintenanceWindow, String> {
    let wrong = || format!("`{text}` is no window such as 22:00+6h (UTC)");
    let (from, length) = text.split_once('+').ok_or_else(wrong)?;
    let (hour, minute) = from.split_once(':').ok_or_else(wrong)?;
    let (hour, minute): (u16, u16) =
        (hour.parse().map_err(|_| wrong())?, minute.parse().map_err(|_| wrong())?);
    if hour > 23 || minute > 59 {
        return Err(wrong());
    }
    let minutes = u16::try_from(duration(length)?.0 / 60).map_err(|_| wrong())?;
    Ok(MaintenanceWindow { from_minute: hour * 60 + minute, minutes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_read_or_refused_with_an_example() {
        assert_eq!(duration("6h"), Ok(Seconds(21_600)));
        assert!(
            duration("6").is_err()
                && duration("h").is_err()
                && duration("6w").is_err()
                && duration("é").is_err()
        );
        assert_eq!(
            phase("25%,success=95,soak=2h,wait").map(|phase| (phase.success.get(), phase.soak, phase.gate)),
            Ok((95, Seconds(7_200), Gate::WaitForMe))
        );
        assert!(phase("25%,sucess=95").is_err() && phase("").is_err() && phase("101%").is_err());
        assert_eq!(rate("500/1h"), Ok(RateLimit { offers: 500, per: Seconds(3_600) }));
        assert_eq!(window("22:30+6h"), Ok(MaintenanceWindow { from_minute: 1_350, minutes: 360 }));
        assert!(window("24:00+6h").is_err());
    }
}
